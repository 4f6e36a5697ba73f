// deadline 1500
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair } from '../pair.ts';
import { dumpRows, open, sameDump, type Started, startRunner, waitFor } from '../runner.ts';
import { noTraces } from './invariants.ts';
import {
  BATCH,
  block,
  blocked,
  blockReading,
  endsWith,
  endsWithin,
  loseCommit,
  onOwnServers,
  RUN_AGAIN,
  type Stage,
  stage,
  type World,
} from './world.ts';

/* Processes that end at the worst moment: backends, the runner, the server. */

const test = suite<{ stage: Stage }>('process faults');

test.before(async (context) => {
  context.stage = await stage();
});

test.after(async (context) => {
  await context.stage.close();
});

test('the source ends the session that is being read: exit 1, says so', ({ stage }) =>
  stage.inWorld(async (world) => {
    const runner = world.start();
    const { pid, lock } = await blockReading(world);
    await world.source`select pg_terminate_backend(${pid})`;
    await endsWithin(20, runner, 1, /terminating connection due to administrator command/);
    await lock.release();
    await noTraces(world.target, world.source, 'after the failed run');
    await world.recovers();
  }));

for (const [what, name] of [
  ['writes a batch', 'runner'],
  ['holds the lock of the run', 'runner up%'],
] as const) {
  test(`the target ends the session that ${what}: exit 4`, ({ stage }) =>
    stage.inWorld(async (world) => {
      const lock = await block(world.targetAdminUrl, BATCH);
      const runner = world.start();
      await blocked(world.target, 'runner');
      const ended = await world.target`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name like ${name}`;
      assert.is(ended.length, 1);
      await endsWithin(20, runner, 4, RUN_AGAIN);
      await lock.release();
      await world.recovers();
    }));
}

test('SIGKILL while the backend writes, second run at once: waits, then works', ({ stage }) =>
  stage.inWorld(async (world) => {
    const lock = await block(world.targetAdminUrl, BATCH);
    const first = world.start();
    await blocked(world.target, 'runner');
    const second = await replace(world, first);
    await lock.release();
    await endsWithin(60, second, 0);
    await world.recovers();
  }));

test('SIGKILL while the backend reads the source, second run at once', ({ stage }) =>
  stage.inWorld(async (world) => {
    const first = world.start();
    const { lock } = await blockReading(world);
    const second = await replace(world, first);
    await lock.release();
    await endsWithin(60, second, 0);
    await world.recovers();
  }));

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} while a batch is written: exit 130, rolled back`, ({ stage }) =>
    stage.inWorld(async (world) => {
      const lock = await block(world.targetAdminUrl, BATCH);
      const runner = world.start();
      await blocked(world.target, 'runner');
      runner.child.kill(signal);
      await endsWithin(10, runner, 130, /rolled back/);
      await lock.release();
      assert.is((await world.target.unsafe(`select from ${BATCH}`)).length, 0);
      await closedAs(world, 'interrupted');
      await noTraces(world.target, world.source, `after ${signal}`);
      await world.recovers();
    }));

  test(`${signal} while the source is read: exit 130, rolled back`, ({ stage }) =>
    stage.inWorld(async (world) => {
      const runner = world.start();
      const { lock } = await blockReading(world);
      runner.child.kill(signal);
      await endsWithin(10, runner, 130, /rolled back/);
      await lock.release();
      await closedAs(world, 'interrupted');
      await noTraces(world.target, world.source, `after ${signal}`);
      await world.recovers();
    }));
}

test('the reply of each COMMIT is lost: exit 4, nothing twice', async ({ stage }) => {
  let lost = 0;
  while (await stage.inWorld((world) => loseCommit(world, lost + 1))) lost += 1;
  assert.ok(lost > 8, `only ${lost} COMMITs`);
});

test('SIGKILL while the schema changes are applied, second run at once', ({ stage }) =>
  stage.inWorld(async (world) => {
    const pair = await testPair({ name: 'unchanged', source: 'empty', target: 'schema' });
    const target = open(pair.targetAdminUrl);
    const { targetUrl } = pair;
    // an application that reads stands in the way of `alter table`
    const lock = await block(pair.targetAdminUrl, 'public.categories');
    const { child } = world.start({ targetUrl });
    await waitFor(
      'the schema changes wait for the lock',
      () => target<{ pid: number }[]>`
        select pid from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`,
    );
    child.kill('SIGKILL');
    const second = world.start({ targetUrl });
    await lock.release();
    await endsWithin(60, second, 0);
    await world.recovers({ target, targetUrl });
    await target.end();
    await pair.drop();
  }));

test('the target stops at once, and comes back: exit 4, then as if nothing had been', ({ stage }) =>
  stage.inWorld((world) =>
    onOwnServers(async ({ target }) => {
      await block(target.adminUrl, 'public.doctor_offices');
      const runner = world.start({ targetUrl: target.url });
      await blocked(target.sql, 'runner');
      await target.stop('immediate');
      await endsWithin(20, runner, 4, RUN_AGAIN);
      await target.start();
      await world.recovers({ target: target.sql, targetUrl: target.url });
    }),
  ));

test('all phases in a heap of 64 MB: the rows of a run without that limit', async () => {
  const [narrow, wide] = [
    await testPair({ name: 'narrow', source: 'sample' }),
    await testPair({ name: 'wide', source: 'sample' }),
  ];
  const env = { NODE_OPTIONS: '--max-old-space-size=64' };
  endsWith(await startRunner(narrow, ['up', '--json'], { env }).ended, 0);
  endsWith(await startRunner(wide, ['up', '--json']).ended, 0);
  const [target, other] = [open(narrow.targetAdminUrl), open(wide.targetAdminUrl)];
  sameDump(
    await dumpRows(target, { clock: false }),
    await dumpRows(other, { clock: false }),
    'heap of 64 MB',
  );
  await target.end();
  await other.end();
  await narrow.drop();
  await wide.drop();
});

test.run();

/** Kills a runner and starts the next at once; the sessions of the first go by themselves. */
async function replace(world: World, { child }: Started): Promise<Started> {
  const sessions = await world.target<{ pid: number }[]>`
    select pid from pg_stat_activity
    where datname = current_database() and application_name like 'runner%'`;
  const pids = sessions.map(({ pid }) => pid);
  assert.ok(pids.length > 0);
  child.kill('SIGKILL');
  const next = world.start();
  await waitFor(
    'the killed runner has no session',
    async () => {
      const rows = await world.target`select from pg_stat_activity where pid = any (${pids})`;
      return rows.length === 0 ? [{}] : [];
    },
    10,
  );
  return next;
}

async function closedAs({ target }: World, status: string): Promise<void> {
  const [run] = await target`select status from migration.runs order by run desc limit 1`;
  assert.is(run?.['status'], status);
}
