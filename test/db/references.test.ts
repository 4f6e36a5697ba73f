// deadline 240
/* Foreign keys of inserted rows, checked set by set: the guarantee is that of the triggers. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { migrate } from '../migrate.ts';
import { migratedPair, testPair, type TestPair } from '../pair.ts';
import { open, runner, type Scratch, tinyProject, waitFor } from '../runner.ts';

interface Context {
  servers: TestPair;
  pair: TestPair;
  source: Sql;
  target: Sql;
  other: Sql;
  project: Scratch;
}

const ROWS = 600;

const PROJECT = {
  'sql/1-rows/10_children.sql': `-- Children: their parents are rows of the application.
--
-- target   public.children
-- source   child
-- adopt    none

create view transform.children as
select
  t.id                                             as legacy_key,
  md5(concat('parent', t.parent_id))::uuid         as parent_id,
  t.region                                         as region,
  t.city                                           as city,
  md5(concat('late', t.parent_id))::uuid           as late_id,
  md5(concat('part', t.parent_id))::uuid           as part_id
from legacy.child as t;
`,
  'sql/1-rows/20_nodes.sql': `-- Nodes: each under the one before.
--
-- target   public.nodes
-- source   node
-- adopt    none

create view transform.nodes as
select
  t.id   as legacy_key,
  n.id   as above_id,
  t.name as name
from legacy.node as t
left join ids.nodes as n on n.legacy_id = t.above_id;
`,
};

const test = suite<Context>('references');

test.before(async (context) => {
  context.project = tinyProject(PROJECT);
  // rights on a parameter are of a whole server
  const servers = await migratedPair();
  const empty = { source: 'empty', target: 'empty' } as const;
  context.servers = servers;
  context.pair = await testPair({ name: 'references', servers, ...empty });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  context.other = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table child (id integer primary key, parent_id integer, region integer, city integer);
    create table node (id integer primary key, above_id integer, name text);
    insert into node select g, nullif(g - 1, 0), 'node ' || g from generate_series(1, ${ROWS}) as g;
    grant select on all tables in schema public to legacy_reader`);
  await context.target.unsafe(`
    create table public.parents (id uuid primary key);
    create table public.cities (region integer, city integer, primary key (region, city));
    create table public.lates (id uuid primary key);
    create table public.parts (id uuid primary key) partition by hash (id);
    create table public.parts_0 partition of public.parts for values with (modulus 2, remainder 0);
    create table public.parts_1 partition of public.parts for values with (modulus 2, remainder 1);
    create table public.children (
      id uuid primary key,
      parent_id uuid references public.parents on update cascade,
      region integer, city integer,
      late_id uuid references public.lates deferrable initially deferred,
      part_id uuid references public.parts,
      -- of what is taken back a sequence gives no number back
      number bigserial,
      foreign key (region, city) references public.cities);
    create table public.nodes (id uuid primary key, above_id uuid references public.nodes, name text);
    insert into public.parents select md5(concat('parent', g))::uuid from generate_series(0, 9) as g;
    insert into public.lates select md5(concat('late', g))::uuid from generate_series(0, 9) as g;
    insert into public.parts select md5(concat('part', g))::uuid from generate_series(0, 9) as g;
    insert into public.cities select g, g from generate_series(0, 9) as g`);
  await context.target.unsafe(
    ['parents', 'cities', 'lates', 'parts', 'parts_0', 'parts_1', 'children', 'nodes']
      .map((table) => `alter table public.${table} owner to postgres`)
      .join(';'),
  );
});

test.before.each(async (context) => {
  const { source, target } = context;
  await target.unsafe(`
    delete from public.children;
    delete from public.nodes;
    insert into public.parents select md5(concat('parent', g))::uuid from generate_series(0, 9) as g
    on conflict do nothing`);
  await source.unsafe(`
    truncate child;
    insert into child select g, g % 10, nullif(g % 10, 3), g % 10
    from generate_series(1, ${ROWS}) as g`);
  const [ledger] = await target`select to_regclass('migration.entities') is not null as there`;
  if (ledger?.['there'] === true) {
    await target.unsafe(`
      truncate ids.children, ids.nodes, migration.ranges, migration.rejects, migration.gone;
      update migration.entities set status = 'new', map_size = 0`);
  }
});

test.after(async ({ servers, source, target, other, project }) => {
  project.remove();
  await source.end();
  await target.end();
  await other.end();
  await servers.drop();
});

test('parents that are there: stored set by set, composite keys with a NULL and self references too', async (context) => {
  const { target } = context;
  await target`alter sequence public.children_number_seq restart`;
  await up(context);
  assert.equal(await bySet(context), { children: true, nodes: true });
  await allThere(context);
  const [once] = await target`select last_value::integer as rows from public.children_number_seq`;
  assert.is(once?.['rows'], ROWS);
});

test('a key that leads to a partitioned table leads nowhere for no row', async (context) => {
  await up(context);
  const faults = await context.target`select * from migration.foreign_key_faults()`;
  assert.equal([...faults], []);
});

test('only the insert runs without triggers', async (context) => {
  const { target } = context;
  await target.unsafe(`
    create schema app;
    create table app.roles (place text, role text);
    create function app.note() returns trigger language plpgsql security definer as $$
    begin
      insert into app.roles values (tg_table_name, current_setting('session_replication_role'));
      return null;
    end $$`);
  const ledger = ['ids.children', 'migration.ranges', 'migration.writes', 'migration.control'];
  for (const table of ledger) {
    await target.unsafe(`
      create trigger noting after insert or update on ${table}
        for each statement execute function app.note();
      alter table ${table} enable always trigger noting`);
  }
  await up(context);
  const roles = await target`select distinct place, role from app.roles order by 1`;
  for (const table of ledger) await target.unsafe(`drop trigger noting on ${table}`);
  await target`drop schema app cascade`;
  assert.equal(
    [...roles],
    ['children', 'control', 'ranges', 'writes'].map((place) => ({ place, role: 'origin' })),
  );
});

for (const change of ['parent_id = 99', 'region = 99']) {
  test(`a parent that is not there (${change}): its row is refused, all others are in`, async (context) => {
    await context.source.unsafe(`update child set ${change} where id = 17`);
    await up(context);
    assert.equal(await rejects(context), ['17 23503']);
    await allThere(context, 1);
  });
}

test('a parent deleted by a session that commits while we wait for it', async (context) => {
  const { source, other } = context;
  // one row refers to it
  await source`update child set parent_id = 4 where parent_id = 3 and id <> 3`;
  await deletedMeanwhile(context, () => other`commit`);
  assert.equal(await rejects(context), ['3 23503']);
  await allThere(context, 1);
});

test('a parent deleted by a session that rolls back', async (context) => {
  const { other } = context;
  await deletedMeanwhile(context, () => other`rollback`);
  assert.equal(await rejects(context), []);
  await allThere(context);
});

test('a parent cannot be deleted before we commit, nor after', async (context) => {
  const { target, other } = context;
  // whoever enters a checkpoint waits for a lock that the test holds
  await target.unsafe(`
    create schema app;
    create function app.wait() returns trigger language plpgsql as $$
    begin perform pg_advisory_xact_lock(77); return null; end $$;
    grant usage on schema app to postgres;
    create trigger waiting before insert on migration.ranges
      for each statement execute function app.wait()`);
  await target`select pg_advisory_lock(77)`;
  const run = up(context);
  await waitFor(
    'the run waits before its checkpoint',
    () => target<{ pid: number }[]>`
    select pid from pg_locks where locktype = 'advisory' and objid = 77 and not granted`,
  );
  const deleted = other`delete from public.parents where id = md5('parent3')::uuid`.then(
    () => 'deleted',
    (error: { code?: string }) => error.code,
  );
  await waitFor(
    'the application waits for us',
    () => target<{ pid: number }[]>`
    select pid from pg_stat_activity
    where wait_event_type = 'Lock' and query like 'delete from public.parents%'`,
  );
  await target`select pg_advisory_unlock(77)`;
  await run;
  assert.is(await deleted, '23503');
  await target`drop schema app cascade`;
  await allThere(context);
});

test('a trigger at INSERT fires: the ordinary way', async (context) => {
  const { target } = context;
  await target.unsafe(`
    create function public.noting() returns trigger language plpgsql as $$
    begin return null; end $$;
    create trigger noting after insert on public.children
      for each row execute function public.noting()`);
  await up(context);
  assert.equal(await bySet(context), { children: false, nodes: true });
  await allThere(context);
  await target`drop function public.noting() cascade`;
});

for (const [what, change, undo] of [
  [
    'a rule',
    'create rule quiet as on insert to public.children do also nothing',
    'drop rule quiet on public.children',
  ],
  [
    'MATCH FULL',
    `alter table public.children add constraint full_key
      foreign key (region, city) references public.cities match full`,
    'alter table public.children drop constraint full_key',
  ],
  [
    'a default in a column that refers and that no view supplies',
    `alter table public.children add column home_id uuid references public.parents
      default md5('parent1')::uuid`,
    'alter table public.children drop column home_id',
  ],
  [
    'a table with children of its own',
    `create table public.more () inherits (public.children);
      alter table public.more owner to postgres`,
    'drop table public.more; analyze public.children',
  ],
] as const) {
  test(`${what}: the ordinary way`, async (context) => {
    const { target, source } = context;
    await source`update child set region = city`;
    await target.unsafe(change);
    await up(context);
    await target.unsafe(undo);
    assert.equal(await bySet(context), { children: false, nodes: true });
    await allThere(context);
  });
}

test('without the right to set the parameter: the ordinary way', async (context) => {
  const { pair, project, target, source } = context;
  await target`revoke set on parameter session_replication_role from postgres`;
  await source`update child set parent_id = 99 where id = 17`;
  await up(context);
  const told = await runner(pair, ['doctor'], { root: project.root });
  await target`grant set on parameter session_replication_role to postgres`;
  assert.match(`${told.stdout}${told.stderr}`, /foreign keys: checked row by row/);
  assert.equal(await bySet(context), { children: false, nodes: false });
  assert.equal(await rejects(context), ['17 23503']);
  await allThere(context, 1);
});

test.run();

function up({ pair, project }: Context): Promise<number> {
  return migrate(pair, { root: project.root, phases: 1, tolerance: 0.5, jobs: 1 });
}

/** Runs while another session has deleted a parent; `end` comes when the run waits for it. */
async function deletedMeanwhile(context: Context, end: () => Promise<unknown>): Promise<void> {
  const { target, other } = context;
  await other`begin`;
  await other`delete from public.parents where id = md5('parent3')::uuid`;
  const run = up(context);
  try {
    await waitFor(
      'the run waits for the application',
      () => target<{ pid: number }[]>`
      select pid from pg_stat_activity
      where application_name = 'runner' and cardinality(pg_blocking_pids(pid)) > 0`,
    );
  } catch (error) {
    await other`rollback`;
    throw error;
  }
  await end();
  await run;
}

async function bySet({ target }: Context): Promise<Record<string, boolean>> {
  const rows = await target<{ entity: string; by_set: boolean }[]>`
    select entity, by_set from migration.work order by 1`;
  return Object.fromEntries(rows.map((row) => [row.entity, row.by_set]));
}

async function rejects({ target }: Context): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', legacy_id, sqlstate) as line from migration.rejects
    where resolved_run is null order by legacy_id`;
  return rows.map(({ line }) => line);
}

/** Every row is stored but so many, and no reference leads nowhere. */
async function allThere({ target }: Context, missing = 0): Promise<void> {
  const [row] = await target`
    select
      (select count(*)::integer from public.children) as children,
      (select count(*)::integer from public.nodes) as nodes,
      (select count(*)::integer from public.children as c
       where not exists (select from public.parents as p where p.id = c.parent_id)
         or not exists (select from public.parts as p where p.id = c.part_id)
         or not exists (select from public.lates as p where p.id = c.late_id)
         or c.region is not null and not exists (
           select from public.cities as p where (p.region, p.city) = (c.region, c.city))
      ) + (select count(*)::integer from public.nodes as n
       where n.above_id is not null
         and not exists (select from public.nodes as p where p.id = n.above_id)) as nowhere`;
  assert.equal({ ...row }, { children: ROWS - missing, nodes: ROWS, nowhere: 0 });
}
