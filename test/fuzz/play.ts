/* Plays a list of operations on a world; after each run that came to its end everything is compared. */
import { takeDown } from './down.ts';
import type { Operation } from './operations.ts';
import { type Compared, Failure, Oracle } from './oracle.ts';
import { emptyWorld, up, type World } from './world.ts';

/** The figures of what was played. */
export interface Told extends Compared {
  statements: number;
  runs: number;
  kills: number;
  downs: number;
}

/** A failure, and how many operations were played when it came. */
export class Broken extends Error {
  override readonly name = 'Broken';
  readonly what: string;
  readonly played: number;
  constructor(what: string, played: number, message: string, options: ErrorOptions) {
    super(message, options);
    this.what = what;
    this.played = played;
  }
}

/** Plays the operations on an emptied world. Throws Broken at the first that does not hold. */
export async function play(world: World, operations: readonly Operation[]): Promise<Told> {
  await emptyWorld(world);
  const oracle = new Oracle(world);
  const told: Told = { ...oracle.compared, statements: 0, runs: 0, kills: 0, downs: 0 };
  for (const [place, operation] of operations.entries()) {
    try {
      await one(world, oracle, operation, told);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      const what = error instanceof Failure ? error.what : said.replace(/\d+/g, '').slice(0, 60);
      throw new Broken(what, place + 1, said, { cause: error });
    }
  }
  return { ...told, ...oracle.compared };
}

async function one(world: World, oracle: Oracle, operation: Operation, told: Told): Promise<void> {
  switch (operation.kind) {
    case 'source':
      oracle.sourceChanged();
      if (/\balter\b/.test(operation.text)) world.redefined = true;
      if (await change(world.source, operation.text)) told.statements += 1;
      return;
    case 'target':
      // which rows a run has written that was ended in the middle is not known
      if (oracle.isOpen) await finish(world, oracle, {}, told);
      if (await change(world.target, operation.text)) told.statements += 1;
      return;
    case 'up':
      return finish(world, oracle, operation.options, told);
    case 'kill':
      return kill(world, oracle, operation, told);
    case 'down':
      if (oracle.isOpen) await finish(world, oracle, {}, told);
      await takeDown(world, oracle);
      told.downs += 1;
  }
}

/** In a transaction of its own; what a constraint refuses is no change. */
async function change(sql: World['source'], text: string): Promise<boolean> {
  try {
    await sql.begin((inside) => inside.unsafe(text));
    return true;
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith('23') !== true) throw error;
    return false;
  }
}

async function finish(
  world: World,
  oracle: Oracle,
  options: Parameters<typeof up>[1],
  told: Told,
): Promise<void> {
  await oracle.watch(options?.policy ?? 'source', () => up(world, options));
  told.runs += 1;
  await oracle.check();
}

/** A run whose connections are cut at a message; one that needs fewer comes to its end. */
async function kill(
  world: World,
  oracle: Oracle,
  operation: Operation & { kind: 'kill' },
  told: Told,
): Promise<void> {
  const { proxy } = world;
  try {
    await oracle.watch(operation.options.policy ?? 'source', () => {
      proxy.cutBefore(operation.at, operation.after);
      return up(world, operation.options);
    });
  } catch (error) {
    if (!proxy.counts().cut) throw error;
    told.kills += 1;
    return;
  } finally {
    proxy.pass();
  }
  told.runs += 1;
  await oracle.check();
}
