/** A piece of work that waits for others. */
export interface Step<Worker> {
  name: string;
  /** Names of the steps that have to be done before. */
  after: string[];
  run(worker: Worker): Promise<unknown>;
}

/** What a step took. */
export interface Taken {
  name: string;
  seconds: number;
}

/**
 * Does all steps, one at a time per worker, each as soon as what it waits for is done; of several
 * that could be begun the first. Throws what the first one throws that fails, when the steps that
 * were begun have ended.
 */
export async function doAll<Worker>(workers: Worker[], steps: Step<Worker>[]): Promise<Taken[]> {
  const waiting = [...steps];
  const done = new Set<string>();
  const taken: Taken[] = [];
  const asleep: (() => void)[] = [];
  let failed = false;

  const work = async (worker: Worker): Promise<void> => {
    while (waiting.length > 0 && !failed) {
      const next = waiting.findIndex(({ after }) => after.every((name) => done.has(name)));
      const [step] = next === -1 ? [] : waiting.splice(next, 1);
      if (step === undefined) {
        await new Promise<void>((resolve) => asleep.push(resolve));
        continue;
      }
      const began = performance.now();
      try {
        await step.run(worker);
      } catch (error) {
        failed = true;
        throw new Error(`${step.name}: ${String(error)}`, { cause: error });
      } finally {
        done.add(step.name);
        taken.push({ name: step.name, seconds: (performance.now() - began) / 1000 });
        for (const awake of asleep.splice(0)) awake();
      }
    }
  };
  const ends = await Promise.allSettled(workers.map(work));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return taken;
}
