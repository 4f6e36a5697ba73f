// deadline 14400
/*
 * Ten rounds, the same in every CI run: a failure there is of the change that is tested. More, and other
 * ones: `npm run test:fuzz -- --seed n --rounds n`. A failure prints what it needs.
 */
import { suite } from 'uvu';
import { note } from '../runner.ts';
import { type Operation, operationsOf, say } from './operations.ts';
import { Broken, play } from './play.ts';
import { shrink } from './shrink.ts';
import { endWorld, makeWorld, type World } from './world.ts';

const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 10);
/** How long a failure may be looked for in shorter lists. */
const SECONDS = Number(process.env['FUZZ_SHRINK_SECONDS'] ?? 180);

const test = suite<{ world: World }>('fuzz');

test.before(async (context) => {
  context.world = await makeWorld(SEED);
});

test.after(({ world }) => endWorld(world));

test('after random changes the target holds what a migration from nothing holds', async ({
  world,
}) => {
  const operations = operationsOf(SEED, ROUNDS);
  try {
    const told = await play(world, operations);
    note(
      `seed ${SEED}: ${ROUNDS} rounds, ${told.statements} statements, ${told.runs} runs, ` +
        `${told.kills} cut, ${told.downs} taken back; compared ${told.rows} rows, ` +
        `${told.images} images, ${told.conflicts} conflicts`,
    );
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    throw await explained(world, operations, error);
  }
});

test.run();

/** The failure, with the shortest list of operations that was found to lead to it. */
async function explained(world: World, operations: Operation[], broken: Broken): Promise<Error> {
  const { message, played, what } = broken;
  note(`seed ${SEED} fails after ${played} of ${operations.length} operations: ${message}`);
  const until = Date.now() + SECONDS * 1000;
  let last = broken;
  const fails = async (list: Operation[]): Promise<boolean> => {
    try {
      await play(world, list);
      return false;
    } catch (error) {
      if (!(error instanceof Broken) || error.what !== what) return false;
      last = error;
      return true;
    }
  };
  const list = await shrink(operations.slice(0, played), fails, () => Date.now() > until);
  return new Error(
    `seed ${SEED}: of ${played} operations ${list.length} fail with\n${last.message}\n` +
      list.map(say).join('\n'),
    { cause: broken },
  );
}
