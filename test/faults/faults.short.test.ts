import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  BATCH,
  block,
  blocked,
  endsWith,
  loseCommit,
  type Stage,
  stage,
  through,
} from './world.ts';

/* One fault of each kind; all of them are in process.test.ts and network.test.ts. */

const test = suite<{ stage: Stage }>('faults, short');

test.before(async (context) => {
  context.stage = await stage();
});

test.after(async (context) => {
  await context.stage.close();
});

test('the reply of a COMMIT is lost: exit 4, nothing twice', async ({ stage }) => {
  const world = await stage.world();
  assert.ok(await loseCommit(world, 6));
  await world.close();
});

test('SIGINT while a batch is written: exit 130, rolled back', async ({ stage }) => {
  const world = await stage.world();
  const lock = await block(world.targetAdminUrl, BATCH);
  const { child, ended } = world.start();
  await blocked(world.target, 'runner');
  child.kill('SIGINT');
  const end = await ended;
  await lock.release();
  endsWith(end, 130, /rolled back/);
  await world.recovers();
  await world.close();
});

test('a target that is not there: ends at once, says so', async ({ stage }) => {
  const world = await stage.world();
  const end = await world.start({
    ...world.urls,
    targetUrl: through(world.urls.targetUrl, 1),
  }).ended;
  endsWith(end, 4, /ECONNREFUSED/);
  await world.close();
});

test.run();
