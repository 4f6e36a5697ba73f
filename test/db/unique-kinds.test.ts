// deadline 180
/* Rows swap what keeps them apart, in whatever way that is declared. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { migrate } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { entityFile, open, type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** What keeps rows apart: columns and constraints of the table, an index. */
const KINDS: Record<string, [definition: string, index?: string]> = {
  expressions: ['name text not null, span int4range, active boolean', 'lower(name), active'],
  parts: ['name text not null, span int4range, active boolean', 'name) where (active'],
  generated: [
    `name text not null, span int4range, active boolean,
    upper text generated always as (upper(name)) stored unique`,
  ],
  deferred: ['name text unique deferrable initially deferred, span int4range, active boolean'],
  nulls: ['name text unique nulls not distinct, span int4range, active boolean'],
  exclusions: ['name text, span int4range, active boolean, exclude using gist (span with &&)'],
  texts: ['name extensions.citext not null unique, span int4range, active boolean'],
};

const test = suite<Context>('unique kinds');

test.before(async (context) => {
  context.project = tinyProject(
    Object.fromEntries(
      Object.keys(KINDS).map((kind, n) => [
        `sql/1-kinds/${n + 1}0_${kind}.sql`,
        entityFile(kind, 'thing', [
          kind === 'texts' ? 't.name::extensions.citext as name' : 't.name as name',
          't.span::int4range as span',
          't.active as active',
        ]),
      ]),
    ),
  );
  context.pair = await testPair({ name: 'unique_kinds', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table thing (id integer primary key, name text, span text, active boolean);
    insert into thing select g, 'Name ' || g, concat('[', g * 10, ',', g * 10 + 5, ')'), true
    from generate_series(1, 30) as g;
    grant select on thing to legacy_reader`);
  await context.target`create extension if not exists citext schema extensions`;
  for (const [kind, [definition, index]] of Object.entries(KINDS)) {
    await context.target.unsafe(`
      create table public.${kind} (id uuid primary key, ${definition});
      ${index === undefined ? '' : `create unique index on public.${kind} (${index});`}
      alter table public.${kind} owner to postgres`);
  }
  await up(context);
});

test.after(async ({ pair, source, target, project }) => {
  project.remove();
  await source.end();
  await target.end();
  await pair.drop();
});

test('two rows swap: each is stored as a first run stores it', async (context) => {
  await context.source.unsafe(`
    create table was as select * from thing;
    update thing set name = 'turning' where id = 1;
    update thing set name = lower(w.name), span = w.span from was as w
    where (thing.id, w.id) in ((1, 2), (2, 1), (3, 4), (4, 3))`);
  await up(context);
  await asSource(context);
});

test('a row that is made again under another id takes what the one that is gone had', async (context) => {
  await context.source.unsafe(`
    update thing set id = 40 where id = 10;
    update thing set id = 41, name = upper(name) where id = 11`);
  await up(context);
  await asSource(context);
});

test.run();

function up({ pair, project }: Context): Promise<number> {
  return migrate(pair, { root: project.root, phases: 1, jobs: 1 });
}

async function asSource({ source, target }: Context): Promise<void> {
  const rejects = await target`select entity, legacy_id, constraint_name from migration.rejects
    where resolved_run is null`;
  assert.equal([...rejects], []);
  const things = await source`select id, name, span from thing order by id`;
  for (const kind of Object.keys(KINDS)) {
    const stored = await target.unsafe(`
      select m.legacy_id::integer as id, t.name::text, t.span::text
      from ids.${kind} as m join public.${kind} as t on t.id = m.id
      where not exists (select from migration.gone as g where g.id = m.id) order by 1`);
    assert.equal([...stored], [...things], kind);
  }
}
