/* A few rounds of the differential test; fuzz.test.ts has as many as one likes. */
import { suite } from 'uvu';
import { note } from '../runner.ts';
import { endWorld, makeWorld, rounds, type World } from './fuzz.ts';

const test = suite<{ world: World }>('fuzz, short');

test.before(async (context) => {
  context.world = await makeWorld();
});

test.after(({ world }) => endWorld(world));

test('after random changes the target holds what a migration from nothing holds', async ({
  world,
}) => {
  const seed = Date.now() % 1_000_000;
  const told = await rounds(world, seed, 10);
  note(`seed ${seed}: ${told.statements} statements, ${told.compared} rows compared`);
});

test.run();
