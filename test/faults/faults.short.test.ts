// deadline 240
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

test('a target that is not there: exit 5 at once, says so', ({ stage }) =>
  stage.inWorld(async (world) => {
    const runner = world.start({ targetUrl: through(world.urls.targetUrl, 1) });
    await endsWithin(20, runner, 5, /ECONNREFUSED.*nothing was sent/);
  }));

test('a worker cannot connect: exit 5, no row was changed', ({ stage }) =>
  stage.inWorld(async (world) => {
    const proxy = await world.proxy('target');
    proxy.when(/runner worker 2\0/, 'request', (cut) => cut());
    const runner = world.start({ targetUrl: through(world.urls.targetUrl, proxy.port) });
    await endsWithin(30, runner, 5, /closed the connection.*no row was changed/);
    assert.is((await world.target`select from ids.offices`).length, 0);
    await world.recovers();
  }));

test('the target is gone when the summary is read: exit 4, says that the run is done', ({
  stage,
}) =>
  stage.inWorld(async (world) => {
    const proxy = await world.proxy('target');
    proxy.when(/migration\.summary/, 'request', (cut) => cut());
    const runner = world.start({ targetUrl: through(world.urls.targetUrl, proxy.port) });
    await endsWithin(60, runner, 4, /run 1 is done/);
    assert.not.match((await runner.ended).stderr, /nothing was sent|not known/);
    await world.recovers();
  }));

test.run();
