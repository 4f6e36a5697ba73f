// deadline 1500
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { removePair, startPair } from '../../runner/embedded.ts';
import { labelOf, startServer } from '../../runner/embedded-server.ts';
import { testPair } from '../pair.ts';
import { dumpRows, open, ROOT, sameDump, startRunner, waitFor } from '../runner.ts';
import { noTraces } from './invariants.ts';
import {
  BATCH,
  block,
  blocked,
  blockReading,
  endsWith,
  loseCommit,
  recovers,
  type Stage,
  stage,
} from './world.ts';

/* Processes that end at the worst moment: backends, the runner, the server. */

const test = suite<{ stage: Stage }>('process faults');

test.before(async (context) => {
  context.stage = await stage();
});

test.after(async (context) => {
  await context.stage.close();
});

test('the source ends the session that is being read: exit 1, says so', async ({ stage }) => {
  const world = await stage.world();
  const { ended } = world.start();
  const { pid, lock } = await blockReading(world);
  await world.source`select pg_terminate_backend(${pid})`;
  const end = await ended;
  await lock.release();
  endsWith(end, 1, /source|remote|server closed the connection|administrator command/i);
  await noTraces(world.target, world.source, 'after the failed run');
  await world.recovers();
  await world.close();
});

test('the target ends the session that writes a batch: exit 4', async ({ stage }) => {
  const world = await stage.world();
  const lock = await block(world.targetAdminUrl, BATCH);
  const { ended } = world.start();
  const pid = await blocked(world.target, 'runner');
  await world.target`select pg_terminate_backend(${pid})`;
  const end = await ended;
  await lock.release();
  endsWith(end, 4, /run the same command again/);
  await world.recovers();
  await world.close();
});

test('the target ends the session that holds the lock of the run: exit 4', async ({ stage }) => {
  const world = await stage.world();
  const lock = await block(world.targetAdminUrl, BATCH);
  const { ended } = world.start();
  await blocked(world.target, 'runner');
  await world.target`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'runner keeper'`;
  const end = await ended;
  await lock.release();
  endsWith(end, 4, /run the same command again/);
  await world.recovers();
  await world.close();
});

test('SIGKILL while the backend writes, second run at once: waits, then works', async ({
  stage,
}) => {
  const world = await stage.world();
  const lock = await block(world.targetAdminUrl, BATCH);
  const { child } = world.start();
  const pid = await blocked(world.target, 'runner');
  child.kill('SIGKILL');
  const killed = Date.now();
  const second = world.start();
  await waitFor('the backend of the killed runner is gone', async () => {
    const rows = await world.target`select from pg_stat_activity where pid = ${pid}`;
    return rows.length === 0 ? [{}] : [];
  });
  console.log(`backend gone after ${Date.now() - killed} ms`);
  await lock.release();
  endsWith(await second.ended, 0);
  await world.recovers();
  await world.close();
});

test('SIGKILL while the backend reads the source, second run at once', async ({ stage }) => {
  const world = await stage.world();
  const { child } = world.start();
  const { lock } = await blockReading(world);
  child.kill('SIGKILL');
  const killed = Date.now();
  const second = world.start();
  await waitFor('the killed runner has no session', async () => {
    const rows = await world.target`
      select from pg_stat_activity
      where datname = current_database() and application_name = 'runner'
        and backend_start < now() - make_interval(secs => ${(Date.now() - killed) / 1000})`;
    return rows.length === 0 ? [{}] : [];
  });
  console.log(`backend gone after ${Date.now() - killed} ms`);
  await lock.release();
  endsWith(await second.ended, 0);
  await world.recovers();
  await world.close();
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} while a batch is written: exit 130, rolled back`, async ({ stage }) => {
    const world = await stage.world();
    const lock = await block(world.targetAdminUrl, BATCH);
    const { child, ended } = world.start();
    await blocked(world.target, 'runner');
    const asked = Date.now();
    child.kill(signal);
    const end = await ended;
    console.log(`${signal}: ended after ${Date.now() - asked} ms`);
    await lock.release();
    endsWith(end, 130, /rolled back/);
    const rows = await world.target.unsafe(`select from ${BATCH}`);
    assert.is(rows.length, 0);
    const [run] = await world.target`select status from migration.runs order by run desc limit 1`;
    assert.is(run?.['status'], 'interrupted');
    await noTraces(world.target, world.source, `after ${signal}`);
    await world.recovers();
    await world.close();
  });

  test(`${signal} while the source is read: exit 130, rolled back`, async ({ stage }) => {
    const world = await stage.world();
    const { child, ended } = world.start();
    const { lock } = await blockReading(world);
    child.kill(signal);
    const end = await ended;
    await lock.release();
    endsWith(end, 130, /rolled back/);
    await noTraces(world.target, world.source, `after ${signal}`);
    await world.recovers();
    await world.close();
  });
}

test('the reply of each COMMIT is lost: exit 4, nothing twice', async ({ stage }) => {
  let lost = 0;
  for (;;) {
    const world = await stage.world();
    const wasLost = await loseCommit(world, lost + 1);
    await world.close();
    if (!wasLost) break;
    lost += 1;
  }
  console.log(`${lost} COMMITs`);
  assert.ok(lost > 8, `only ${lost} COMMITs`);
});

test('SIGKILL while the schema changes are applied, second run at once', async ({ stage }) => {
  const world = await stage.world();
  const pair = await testPair({ name: 'unchanged', source: 'empty' });
  const target = open(pair.targetAdminUrl);
  const urls = { sourceUrl: world.urls.sourceUrl, targetUrl: pair.targetUrl };
  // an application that reads stands in the way of `alter table`
  const lock = await block(pair.targetAdminUrl, 'public.categories');
  const { child } = world.start(urls);
  await waitFor(
    'the schema changes wait for the lock',
    () => target<{ pid: number }[]>`
      select pid from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`,
  );
  child.kill('SIGKILL');
  const second = world.start(urls);
  await lock.release();
  endsWith(await second.ended, 0);
  await recovers({
    ...{ source: world.source, target, start: () => world.start(urls) },
    ...{ expected: stage.expected, ranges: false },
  });
  await target.end();
  await pair.drop();
  await world.close();
});

test('the target stops at once, and comes back: exit 4, then as if nothing had been', async ({
  stage,
}) => {
  const directory = join(ROOT, '.embedded', `faults-${process.pid}`);
  const world = await stage.world();
  const pair = await startPair({ directory, scale: '0.001', seed: '1' });
  const urls = { sourceUrl: world.urls.sourceUrl, targetUrl: pair.targetUrl };
  const { directory: place, major, port } = pair.target;
  try {
    const lock = await block(pair.targetAdminUrl, 'public.doctor_offices');
    const { ended } = world.start(urls);
    const admin = open(pair.targetAdminUrl);
    await blocked(admin, 'runner');
    await admin.end();
    const stopped = Date.now();
    await pair.target.stop('immediate');
    const end = await ended;
    console.log(`ended ${Date.now() - stopped} ms after the server`);
    endsWith(end, 4, /run the same command again/);
    await lock.release().catch(() => {});
    const server = await startServer({
      ...{ major, port, directory: place, label: labelOf(place) ?? '' },
      ...{ admin: 'supabase_admin', roles: ['postgres'] },
    });
    const target = open(pair.targetAdminUrl);
    try {
      await recovers({
        ...{ source: world.source, target, start: () => world.start(urls) },
        ...{ expected: stage.expected, ranges: false },
      });
    } finally {
      await target.end();
      await server.stop();
    }
  } finally {
    await pair.stop();
    removePair(directory);
  }
  await world.close();
});

test('all phases in a heap of 64 MB: the rows of a run without that limit', async () => {
  const [narrow, wide] = [
    await testPair({ name: 'narrow', source: 'sample' }),
    await testPair({ name: 'wide', source: 'sample' }),
  ];
  const end = await startRunner(narrow, ['up', '--json'], {
    env: { NODE_OPTIONS: '--max-old-space-size=64' },
  }).ended;
  endsWith(end, 0);
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
