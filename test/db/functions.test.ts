/* Helper functions of the views, by themselves. */
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import { open, ROOT } from '../runner.ts';

const test = suite<{ pair: TestPair; target: Sql }>('functions');

test.before(async (context) => {
  // refuses subtransactions in a parallel plan, as all releases before 17
  context.pair = await testPair({ name: 'functions', source: 'empty', targetMajor: 15 });
  context.target = open(context.pair.targetAdminUrl);
  await context.target`create schema migration`;
  await context.target.file(join(ROOT, 'sql/engine/20_functions.sql'));
});

test.after(async ({ pair, target }) => {
  await target.end();
  await pair.drop();
});

test('try_jsonb over a table that is scanned in parallel', async ({ target }) => {
  await target`
    create table texts as
    select case when g % 2 = 0 then '{"a": 1}' else '{' end as t from generate_series(1, 1000) as g`;
  const plan = await target.begin(async (sql) => {
    await sql.unsafe(`
      set local force_parallel_mode = on;
      set local min_parallel_table_scan_size = 0;
      set local parallel_setup_cost = 0;
      set local parallel_tuple_cost = 0`);
    const [row] = await sql`select count(migration.try_jsonb(t))::integer as json from texts`;
    assert.is(row?.['json'], 500);
    return sql<Record<string, string>[]>`explain select count(t) from texts`;
  });
  const lines = plan.map((row) => row['QUERY PLAN']).join('\n');
  assert.match(lines, 'Parallel', 'and not because there are no parallel plans here');
});

test.run();
