import type { Session } from '../database.ts';

/** A piece of work for one session. Returns what it makes possible, which is done by whoever is free. */
export interface Task {
  /** The lower, the earlier, among what can be done. */
  rank: number;
  run: (session: Session) => Promise<Task[]>;
}

/**
 * Does tasks, and what they make possible, in several sessions: whoever is free takes the next. After a
 * failure nothing new is begun; the first one is thrown when what runs has ended.
 */
export async function workThrough(sessions: readonly Session[], first: Task[]): Promise<void> {
  const ready = [...first];
  const failures: unknown[] = [];
  let working = 0;
  let sleepers: (() => void)[] = [];

  const serve = async (session: Session): Promise<void> => {
    while (failures.length === 0) {
      const task = ready.toSorted((a, b) => a.rank - b.rank)[0];
      if (task !== undefined) {
        ready.splice(ready.indexOf(task), 1);
        await perform(task, session);
      } else if (working > 0) {
        // what is at work may make something possible
        await new Promise<void>((resolve) => sleepers.push(resolve));
      } else return;
    }
  };
  const perform = async (task: Task, session: Session): Promise<void> => {
    working += 1;
    try {
      ready.push(...(await task.run(session)));
    } catch (error) {
      failures.push(error);
    }
    working -= 1;
    for (const wake of sleepers) wake();
    sleepers = [];
  };
  await Promise.all(sessions.map(serve));
  if (failures.length > 0) throw failures[0];
}
