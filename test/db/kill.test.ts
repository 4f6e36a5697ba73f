// deadline 300
import { once } from 'node:events';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { migratedPair, testPair, type TestPair } from '../pair.ts';
import {
  dumpRows,
  noResidue,
  open,
  runner,
  sameDump,
  type Started,
  startRunner,
  succeed,
  touches,
  up,
  waitFor,
} from '../runner.ts';

/* A runner that is killed, in both kinds of phase, and two at once. Tests in this order. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  /** Holds the lock that makes a runner wait at a known place. */
  blocker: Sql;
}

const test = suite<Context>('kill');

test.before(async (context) => {
  context.pair = await testPair({ name: 'kill', source: 'sample' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  context.blocker = open(context.pair.targetAdminUrl);
});

test.after(async ({ pair, source, target, blocker }) => {
  await blocker.end();
  await source.end();
  await target.end();
  await pair.drop();
});

test('a second runner waits, then gives up with exit 3 and changes nothing', async (context) => {
  const { pair, target } = context;
  await up(pair, '1-foundation');
  await blocked(context, 'orders', async (first) => {
    const before = await touches(target, ['public', 'ids']);
    const second = await runner(pair, ['up']);
    assert.is(second.code, 3, second.stderr);
    assert.match(second.stderr, 'another runner is at work');
    sameDump(await touches(target, ['public', 'ids']), before);
    const down = startRunner(pair, ['down', '1-foundation', '--cascade', '--yes']);
    await kill(down);
    assert.is(first.child.exitCode, null, 'the first runner was disturbed');
    await kill(first);
  });
});

test('killed inside a phase of one transaction: nothing of the phase is there', async (context) => {
  const { pair, source, target } = context;
  await noResidue(target, source);
  const [rows] = await target<{ offices: number; patients: number; mapped: number }[]>`
    select (select count(*)::integer from public.offices) as offices,
      (select count(*)::integer from public.patients) as patients,
      (select count(*)::integer from ids.patients) as mapped`;
  assert.equal({ ...rows }, { offices: 13, patients: 0, mapped: 0 });
  const { stdout } = await succeed(pair, ['status']);
  assert.match(stdout, /1 of 8 phases are complete|at work/);
});

test('killed between ranges: what is committed stays, nothing is half', async (context) => {
  const { source, target } = context;
  // what is small is merged before, in one transaction
  await blocked(context, 'tasks', async (killed) => {
    await kill(killed);
  });
  await noResidue(target, source);
  const [rows] = await target<{ orders: number; tasks: number; messages: number }[]>`
    select (select count(*)::integer from public.orders) as orders,
      (select count(*)::integer from public.tasks) as tasks,
      (select count(*)::integer from public.messages) as messages`;
  const [mapped] = await target<{ tasks: number; messages: number }[]>`
    select (select count(*)::integer from ids.tasks) as tasks,
      (select count(*)::integer from ids.messages) as messages`;
  const [entered] = await target<{ tasks: number }[]>`
    select coalesce(sum(merged), 0)::integer as tasks from migration.ranges
    where entity = 'tasks'`;
  assert.equal([rows?.orders, rows?.messages, mapped?.messages], [231, 609, 609]);
  // a chunk is written by one message, COMMIT included: its server may still have done it, all of it
  assert.equal([mapped?.tasks, entered?.tasks], [rows?.tasks, rows?.tasks]);
});

test('then plain up: the rows of a run that was not disturbed', async ({
  pair,
  source,
  target,
}) => {
  const messages = await touches(target, ['ids']);
  const { verdict } = await up(pair);
  assert.match(verdict, 'All 8 phases are complete');
  sameDump(
    new Map([...(await touches(target, ['ids']))].filter(([name]) => name === 'ids.messages')),
    new Map([...messages].filter(([name]) => name === 'ids.messages')),
    'what was committed before the kill was done again',
  );
  const states = await target<{ status: string }[]>`
    select status from migration.runs where command = 'up' order by run`;
  assert.equal(
    states.map(({ status }) => status),
    ['done', 'interrupted', 'interrupted', 'done'],
  );
  const undisturbed = await migratedPair();
  const calm = open(undisturbed.targetAdminUrl);
  try {
    sameDump(
      await dumpRows(target, { clock: false }),
      await dumpRows(calm, { clock: false }),
      'differs from a run that was not disturbed',
    );
  } finally {
    await calm.end();
    await undisturbed.drop();
  }
  await noResidue(target, source);
});

test('a signal the user sends rolls back and says so: exit 130', async (context) => {
  const { pair, source, target } = context;
  await succeed(pair, ['down', '7-state', '--yes']);
  await blocked(context, 'case_states', async (interrupted) => {
    interrupted.child.kill('SIGINT');
    const { code, stderr } = await interrupted.ended;
    assert.is(code, 130, stderr);
    assert.match(stderr, 'rolled back');
  });
  const [rows] = await target`select count(*)::integer as count from public.order_states`;
  assert.is(rows?.['count'], 0);
  const [run] = await target`select status from migration.runs order by run desc limit 1`;
  assert.is(run?.['status'], 'interrupted');
  await noResidue(target, source);
});

/** A runner that waits for a lock on this table, from which it is freed afterwards. */
async function blocked(
  { pair, target, blocker }: Context,
  table: string,
  work: (runner: Started) => Promise<void>,
): Promise<void> {
  const held = await blocker.reserve();
  // against writers only: the runner reads, and stops at its first row
  await held.unsafe(`begin; lock table public.${table} in share mode`);
  const started = startRunner(pair, ['up']);
  try {
    await Promise.race([
      waitFor(
        `a runner waits for ${table}`,
        () => target`
          select from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
          where a.datname = current_database() and a.application_name like 'runner%'
            and not l.granted and l.relation = ${`public.${table}`}::regclass`,
      ),
      started.ended.then(({ stderr }) => {
        throw new Error(`the runner ended before: ${stderr}`);
      }),
    ]);
    await work(started);
  } finally {
    started.child.kill('SIGKILL');
    await held.unsafe('rollback');
    held.release();
  }
}

async function kill({ child }: Started): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

test.run();
