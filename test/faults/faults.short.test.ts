import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  BATCH,
  block,
  blocked,
  endsWithin,
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

test('the reply of a COMMIT is lost: exit 4, nothing twice', ({ stage }) =>
  stage.inWorld(async (world) => {
    assert.ok(await loseCommit(world, 6));
  }));

test('SIGINT while a batch is written: exit 130, rolled back', ({ stage }) =>
  stage.inWorld(async (world) => {
    const lock = await block(world.targetAdminUrl, BATCH);
    const runner = world.start();
    await blocked(world.target, 'runner');
    runner.child.kill('SIGINT');
    await endsWithin(10, runner, 130, /rolled back/);
    await lock.release();
    await world.recovers();
  }));

test('a target that is not there: ends at once, says so', ({ stage }) =>
  stage.inWorld(async (world) => {
    const runner = world.start({ targetUrl: through(world.urls.targetUrl, 1) });
    await endsWithin(20, runner, 4, /ECONNREFUSED/);
  }));

test.run();
