// deadline 300
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { runner, startRunner, up, waitFor } from '../runner.ts';

/* A run that is killed between its ranges. */

const test = suite<{ pair: TestPair; source: Sql; target: Sql }>('resume');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'resume', source: 'sample', sourceMajor: 17 }));
  await context.source`
    insert into dispatch_task (id, template_id, instruction_id, jaw, checked, text)
    select 1000000 + g, t.template_id, t.instruction_id, 1, false, 'many'
    from generate_series(1, 30000) as g,
      (select * from dispatch_task where id = (
        select min(t.id) from dispatch_task as t
        join dispatch_instruction as i on i.id = t.instruction_id
        join dispatch_patient as p on p.id = i.patient_id and p.doctor_id is not null)) as t`;
});

test.after(dropPair);

test('a run that was killed goes on after the last range it committed; none is read twice', async ({
  pair,
  target,
}) => {
  await up(pair, '1', '2');
  // statistics that know of no task, as autovacuum leaves them between two phases
  await target`analyze public.migration_mappings`;
  const { child, ended } = startRunner(pair, ['up', '3', '--json', '--jobs', '1']);
  // its first transaction of tasks is in, the second is at work
  await waitFor('ranges of tasks are committed', async () => {
    const [there] = await target`select to_regclass('migration.ranges') is not null as there`;
    return there?.['there'] === true
      ? target`select from migration.ranges where entity = 'tasks' limit 1`
      : [];
  });
  child.kill('SIGKILL');
  await ended;
  const done = await rangesOf(target);
  const summary = await up(pair, '3');
  assert.is(summary.entities.find(({ entity }) => entity === 'tasks')?.status, 'complete');
  const after = await rangesOf(target);
  for (const [range, run] of done) assert.is(after.get(range), run, range);
  assert.ok(after.size > done.size && done.size > 0, `${done.size} of ${after.size}`);

  const [last] = await target<{ run: number; read: number; rows: number }[]>`
    select c.run::integer, c.rows_read::integer as read,
      (select sum(merged)::integer from migration.ranges
       where entity = 'tasks' and run = c.run) as rows
    from migration.control as c where entity = 'tasks' order by run desc limit 1`;
  assert.is(last?.read, last?.rows, 'only rows of ranges that were not done');
  const others = await target`
    select entity from migration.control
    where run = ${last?.run ?? 0} and rows_read > 0 and phase <> '3-operations'`;
  assert.equal([...others], []);
  const verified = await runner(pair, ['verify', 'tasks', 'files']);
  assert.is(verified.code, 0, verified.stdout);
});

test('the table of ids is gone through row by row, whatever its statistics know', async ({
  target,
}) => {
  const [read] = await target<{ rows: number; entries: number }[]>`
    select (select count(*)::integer from public.migration_mappings) as rows,
      (select sum(idx_tup_read)::float8 from pg_stat_user_indexes
       where relname = 'migration_mappings') as entries`;
  assert.ok((read?.entries ?? 0) < 50 * (read?.rows ?? 0), JSON.stringify(read));
});

test.run();

/** Which run entered each range. */
async function rangesOf(target: Sql): Promise<Map<string, number>> {
  const rows = await target<{ range: string; run: number }[]>`
    select concat(entity, ' ', range) as range, run::integer from migration.ranges`;
  return new Map(rows.map(({ range, run }) => [range, run]));
}
