/* Two workers at work that recognise one and the same row of the application. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { migrate } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { open, type Scratch, tinyProject, waitFor } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('adopt twice');

test.before(async (context) => {
  context.project = tinyProject({
    'sql/1-things/10_things.sql': `-- Things: known by their names.
--
-- target   public.things
-- source   thing
-- adopt    name
-- commit   batch

create view transform.things as
select
  t.id   as legacy_key,
  t.id   as legacy_id,
  t.name as name
from legacy.thing as t;
`,
  });
  context.pair = await testPair({ name: 'adopt_twice', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table thing (id integer primary key, name text);
    insert into thing select g, concat('thing ', g % 20) from generate_series(1, 40) as g;
    grant select on thing to legacy_reader`);
  await context.target.unsafe(`
    create table public.things (id uuid primary key, legacy_id bigint, name text);
    alter table public.things owner to postgres`);
});

test.after(async ({ pair, source, target, project }) => {
  project.remove();
  await source.end();
  await target.end();
  await pair.drop();
});

test('one of them adopts it, the other is told and makes a row of its own', async (context) => {
  const { pair, source, target, project } = context;
  const up = (jobs: number) => migrate(pair, { root: project.root, phases: 1, pieceRows: 1, jobs });
  await up(1);
  await target.unsafe(`
    update migration.source_tables set width = 20;
    insert into public.things values (gen_random_uuid(), null, 'new');
    create function public.slow() returns trigger language plpgsql as $$
    begin perform pg_advisory_xact_lock(78); return null; end $$;
    create trigger slow after update on public.things
      for each statement execute function public.slow()`);
  await source`insert into thing values (50, 'new'), (70, 'new')`;
  await target`select pg_advisory_lock(78)`;
  const run = up(2);
  await waitFor(
    'one worker writes, and the other waits for the row',
    () => target<{ pid: number }[]>`
      select min(pid) as pid from pg_stat_activity
      where application_name like 'runner%' and wait_event_type = 'Lock' having count(*) > 1`,
  );
  await target`select pg_advisory_unlock(78)`;
  await run;
  await target`drop function public.slow() cascade`;
  const rows = await target`
    select m.legacy_id::integer as key, m.adopted from ids.things as m
    join public.things as t on t.id = m.id where t.name = 'new' order by m.adopted desc`;
  assert.equal(
    rows.map((row) => row['adopted'] as boolean),
    [true, false],
  );
  assert.equal(new Set(rows.map((row) => row['key'] as number)), new Set([50, 70]));
});

test.run();
