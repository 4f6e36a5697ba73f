// deadline 300
import { once } from 'node:events';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, freshRows, preparePair, rowsRead } from '../migrate.ts';
import { NEUTRAL, type TestPair } from '../pair.ts';
import {
  type Dump,
  dumpRows,
  lastLine,
  noResidue,
  open,
  runner,
  sameDump,
  type Started,
  startRunner,
  succeed,
  touches,
  waitFor,
} from '../runner.ts';

/* A runner that is killed, in both kinds of phase, and two at once. Tests in this order. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  /** Holds the lock that makes a runner wait at a known place. */
  blocker: Sql;
  /** What stands in the target when one phase is complete. */
  calm: Dump;
}

const OF = { root: NEUTRAL };
const SCHEMAS = ['public', 'billing', 'ids'];

const test = suite<Context>('kill');

test.before(async (context) => {
  Object.assign(
    context,
    await preparePair({ name: 'kill', source: 'neutral', target: 'neutral' }, NEUTRAL),
  );
  context.blocker = open(context.pair.targetAdminUrl);
  // more than is merged together with others
  await context.source`
    insert into billing.payment
    select 6000000000 + n, date '2023-01-01' + n % 365, 10 * (1 + n % 450), 1.00, 'cash'
    from generate_series(1, 6000) as n`;
});

test.after(async (context) => {
  await context.blocker.end();
  await dropPair(context);
});

test('a second runner waits, then gives up with exit 3 and changes nothing', async (context) => {
  const { pair, target } = context;
  await succeed(pair, ['up', '1-catalogue'], OF);
  context.calm = await touches(target, SCHEMAS);
  await blocked(context, 'public.contacts', async (first) => {
    const second = await runner(pair, ['up'], OF);
    assert.is(second.code, 3, second.stderr);
    assert.match(second.stderr, 'another runner is at work');
    sameDump(await touches(target, SCHEMAS), context.calm);
    const down = startRunner(pair, ['down', '1-catalogue', '--cascade', '--yes'], OF);
    await waitFor(
      'down waits for its turn',
      () => target`
        select from pg_stat_activity
        where datname = current_database() and application_name like 'runner down%'`,
    );
    await kill(down);
    assert.is(first.child.exitCode, null, 'the first runner was disturbed');
    await kill(first);
  });
});

test('killed inside a phase of one transaction: nothing of the phase is there', async (context) => {
  const { pair, source, target, calm } = context;
  await noResidue(target, source);
  sameDump(await touches(target, SCHEMAS), calm);
  const [rows] = await target<{ films: number; customers: number; mapped: number }[]>`
    select (select count(*)::integer from public.films) as films,
      (select count(*)::integer from public.customers) as customers,
      (select count(*)::integer from ids.customers) as mapped`;
  assert.equal({ ...rows }, { films: 296, customers: 0, mapped: 0 });
  const { stdout } = await succeed(pair, ['status'], OF);
  assert.match(stdout, /1 of 4 phases are complete|at work/);
});

test('killed between ranges: what is committed stays, nothing is half', async (context) => {
  const { source, target } = context;
  // what is small is merged before, in one transaction
  await blocked(context, 'billing.payments', async (killed) => {
    await kill(killed);
  });
  await noResidue(target, source);
  const [rows] = await target<{ customers: number; rentals: number; payments: number }[]>`
    select (select count(*)::integer from public.customers) as customers,
      (select count(*)::integer from public.rentals) as rentals,
      (select count(*)::integer from billing.payments) as payments`;
  const [mapped] = await target<{ rentals: number; payments: number }[]>`
    select (select count(*)::integer from ids.rentals) as rentals,
      (select count(*)::integer from ids.payments) as payments`;
  const [entered] = await target<{ payments: number }[]>`
    select coalesce(sum(merged), 0)::integer as payments from migration.ranges
    where entity = 'payments'`;
  assert.equal([rows?.customers, rows?.rentals, mapped?.rentals], [198, 440, 440]);
  // a chunk is written by one message, COMMIT included: its server may still have done it, all of it
  assert.equal([mapped?.payments, entered?.payments], [rows?.payments, rows?.payments]);
});

test('then plain up: the rows of a run that was not disturbed', async ({
  pair,
  source,
  target,
}) => {
  const committed = (dump: Dump) =>
    new Map([...dump].filter(([name]) => /\.(customers|contacts_home|rentals)$/.test(name)));
  const before = committed(await touches(target, ['ids']));
  assert.is(before.size, 3);
  const { verdict } = lastLine(await succeed(pair, ['up', '--json'], OF));
  assert.match(verdict, 'All 4 phases are complete');
  sameDump(
    committed(await touches(target, ['ids'])),
    before,
    'what was committed before the kill was done again',
  );
  const read = Object.keys(await rowsRead(target, await lastRun(target)));
  assert.equal(
    read.filter((entity) => !['payments', 'legacy_archive.price_list'].includes(entity)),
    [],
  );
  const states = await target<{ status: string }[]>`
    select status from migration.runs where command = 'up' order by run`;
  assert.equal(
    states.map(({ status }) => status),
    ['done', 'interrupted', 'interrupted', 'done'],
  );
  sameDump(
    await dumpRows(target, { clock: false, ...OF }),
    await freshRows(pair, undefined, { archive: true, ...OF }),
    'differs from a run that was not disturbed',
  );
  await noResidue(target, source);
});

test('a signal the user sends rolls back and says so: exit 130', async (context) => {
  const { pair, source, target } = context;
  await succeed(pair, ['down', '2-customers', '--cascade', '--yes'], OF);
  const before = await touches(target, SCHEMAS);
  await blocked(context, 'public.contacts', async (interrupted) => {
    interrupted.child.kill('SIGINT');
    const { code, stderr } = await interrupted.ended;
    assert.is(code, 130, stderr);
    assert.match(stderr, 'rolled back');
  });
  sameDump(await touches(target, SCHEMAS), before);
  const [rows] = await target`select count(*)::integer as count from public.customers`;
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
  await held.unsafe(`begin; lock table ${table} in share mode`);
  const started = startRunner(pair, ['up'], OF);
  try {
    await Promise.race([
      waitFor(
        `a runner waits for ${table}`,
        () => target`
          select from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
          where a.datname = current_database() and a.application_name like 'runner%'
            and not l.granted and l.relation = ${table}::regclass`,
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

async function lastRun(target: Sql): Promise<number> {
  const [row] = await target<
    { run: number }[]
  >`select max(run)::integer as run from migration.runs`;
  return row?.run ?? 0;
}

async function kill({ child }: Started): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

test.run();
