// deadline 300
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blockedRunner, dropPair, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import {
  lastLine,
  neutralProject,
  noResidue,
  open,
  runner,
  type Scratch,
  startRunner,
  succeed,
} from '../runner.ts';

/* A run that is killed between its ranges, in a project that has a table of old and new ids. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** The highest key: the last range has it. */
const LAST = 40_000;

const test = suite<Context>('resume');

test.before(async (context) => {
  const project = neutralProject();
  Object.assign(context, { project });
  project.edit('sql/settings.json', (text) =>
    text.replace('{', '{ "mappings": "public.old_and_new",'),
  );
  for (const [file, type] of [
    ['1-catalogue/30_films.sql', 'film'],
    ['2-customers/10_customers.sql', 'customer'],
    ['3-rentals/10_rentals.sql', 'rental'],
  ]) {
    project.edit(`sql/${file}`, (text) =>
      text.replace(/^-- adopt .*$/m, (line) => `${line}\n-- mapping  ${type}`),
    );
  }
  const options = { name: 'resume', source: 'neutral', target: 'neutral' } as const;
  Object.assign(context, await preparePair(options, project.root));
  await context.source`
    insert into rental
    select n, 1 + n % 69, 1 + n % 66, timestamptz '2024-01-01' + n * interval '1 minute', null
    from generate_series(10001, ${LAST}::integer) as n`;
  // what the target refuses is read again by every run
  await context.source`update rental set returned_at = null where returned_at < rented_at`;
  await context.target.unsafe(`
    set role postgres;
    create table public.old_and_new (
      entity_type text, legacy_id integer, new_id uuid not null, migrated_at timestamptz,
      migration_batch text, primary key (entity_type, legacy_id));
    alter table public.old_and_new enable row level security;
    create policy nobody on public.old_and_new to authenticated using (false);
    reset role`);
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('a run that was killed goes on after the last range it committed; none is read twice', async ({
  pair,
  source,
  target,
  project,
}) => {
  await succeed(pair, ['up', '1', '2'], project);
  // statistics that know of no rental, as autovacuum leaves them between two phases
  await target`analyze public.old_and_new`;
  const held = open(pair.targetAdminUrl);
  await held`begin`;
  await held`
    insert into public.rentals (legacy_rental_id, customer_id, rented_at)
    select ${LAST}::bigint, id, now() from public.customers limit 1`;
  const { child, ended } = startRunner(pair, ['up', '3', '--json', '--jobs', '1'], project);
  // its first transaction of rentals is in, the last one waits for the number that another session holds
  await blockedRunner(target);
  child.kill('SIGKILL');
  await ended;
  // its server looks after the client every two seconds; freed before, it would write that range, too
  await noResidue(target, source);
  await held`rollback`;
  await held.end();
  const done = await rangesOf(target);
  const summary = lastLine(await succeed(pair, ['up', '3', '--json'], project));
  assert.is(summary.entities.find(({ entity }) => entity === 'rentals')?.status, 'complete');
  const after = await rangesOf(target);
  for (const [range, run] of done) assert.is(after.get(range), run, range);
  const rentals = (ranges: Map<string, number>) =>
    [...ranges.keys()].filter((range) => range.startsWith('rentals ')).length;
  assert.ok(
    rentals(after) > rentals(done) && rentals(done) > 0,
    `${rentals(done)} of ${rentals(after)}`,
  );

  const [last] = await target<{ run: number; read: number; rows: number }[]>`
    select c.run::integer, c.rows_read::integer as read,
      (select sum(merged)::integer from migration.ranges
       where entity = 'rentals' and run = c.run) as rows
    from migration.control as c where entity = 'rentals' order by run desc limit 1`;
  assert.is(last?.read, last?.rows, 'only rows of ranges that were not done');
  const others = await target`
    select entity from migration.control
    where run = ${last?.run ?? 0} and rows_read > 0 and phase <> '3-rentals'`;
  assert.equal([...others], []);
  const verified = await runner(pair, ['verify', 'rentals', 'payments'], project);
  assert.is(verified.code, 0, verified.stdout);
});

test('the table of ids is gone through row by row, whatever its statistics know', async ({
  target,
}) => {
  const [read] = await target<{ rows: number; entries: number }[]>`
    select (select count(*)::integer from public.old_and_new) as rows,
      (select sum(idx_tup_read)::float8 from pg_stat_user_indexes
       where relname = 'old_and_new') as entries`;
  assert.ok((read?.rows ?? 0) > 30_000, `${read?.rows} rows`);
  assert.ok((read?.entries ?? 0) < 50 * (read?.rows ?? 0), JSON.stringify(read));
});

test.run();

/** Which run entered each range. */
async function rangesOf(target: Sql): Promise<Map<string, number>> {
  const rows = await target<{ range: string; run: number }[]>`
    select concat(entity, ' ', range) as range, run::integer from migration.ranges`;
  return new Map(rows.map(({ range, run }) => [range, run]));
}
