/* The shapes that golden files are rendered of are those of a real target. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { realShapes, recordedShapes } from '../golden.ts';
import { prepareMigrated } from '../migrate.ts';

test('what is recorded is what the databases say', async () => {
  const { pair, source, target } = await prepareMigrated();
  assert.equal(recordedShapes(), await realShapes(pair), '`npm run golden` records it anew');
  await source.end();
  await target.end();
  await pair.drop();
});

test.run();
