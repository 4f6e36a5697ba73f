// deadline 7200
/* Ten rounds; `npm run test:fuzz -- --seed n --rounds n` for more. A failure prints its statements. */
import { suite } from 'uvu';
import { note } from '../runner.ts';
import { endWorld, makeWorld, rounds, type World } from './fuzz.ts';

const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);
const ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 10);

const test = suite<{ world: World }>('fuzz');

test.before(async (context) => {
  context.world = await makeWorld();
});

test.after(({ world }) => endWorld(world));

test('after random changes the target holds what a migration from nothing holds', async ({
  world,
}) => {
  const told = await rounds(world, SEED, ROUNDS);
  note(
    `seed ${SEED}: ${told.rounds} rounds, ${told.statements} statements, ` +
      `${told.compared} rows compared, ${told.conflicts} conflicts`,
  );
});

test.run();
