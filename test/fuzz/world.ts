/* The world of the differential test: a source, a target brought up to date, one that starts anew. */
import type { Sql } from 'postgres';
import { type Proxy, startProxy } from '../faults/proxy.ts';
import { migrate, type MigrateOptions } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { entityFile, open, type Scratch, tinyProject } from '../runner.ts';

/** What the view of each table supplies; every table has `id` and `private` besides. */
export const COLUMNS = {
  people: ['login', 'mail', 'kind', 'amount', 'at', 'facts', 'born'],
  boxes: ['parent_id', 'name'],
  staff: [
    ...['legacy_id', 'first', 'last', 'code', 'extra', 'mood', 'ratio', 'span', 'tags', 'raw'],
    ...['flag', 'hour'],
  ],
  tags: ['legacy_id', 'name', 'amount'],
  plans: ['person_id', 'name'],
  pairs: ['one_id', 'other_id', 'note'],
} as const;

/** A table of the target, which is an entity, too. */
export type Table = keyof typeof COLUMNS;

export const TABLES = Object.keys(COLUMNS) as Table[];

/** Rows that are gone from the source are removed from these. */
export const REMOVES: readonly Table[] = ['pairs', 'tags'];

/** The application has rows of its own in these, which are recognised by `legacy_id`. */
export const ADOPTS: readonly Table[] = ['staff', 'tags'];

const adopting = (table: string, source: string, columns: string[], header = ''): string =>
  entityFile(table, source, columns, { header }).replace('adopt    none', 'adopt    legacy_id');

const own = (...names: string[]): string[] => names.map((name) => `t.${name} as ${name}`);

const PROJECT = {
  'sql/1-first/10_people.sql': entityFile(
    'people',
    'person',
    [...own('login', 'mail'), 'k.name as kind', ...own('amount', 'at', 'facts', 'born')],
    { joins: ['left join legacy.kind as k on k.id = t.kind_id'] },
  ),
  'sql/1-first/20_boxes.sql': entityFile('boxes', 'box', ['m.id as parent_id', 't.name as name'], {
    joins: ['left join ids.boxes as m on m.legacy_id = t.parent_id'],
  }),
  'sql/1-first/30_staff.sql': adopting('staff', 'staff', [
    't.id::integer as legacy_id',
    ...own(...COLUMNS.staff.slice(1)).map((column) =>
      column.replace('t.mood ', 't.mood::text::public.mood '),
    ),
  ]),
  'sql/1-first/40_tags.sql': adopting(
    'tags',
    'tag',
    ['t.id::integer as legacy_id', 't.name::public.citext as name', 't.amount as amount'],
    '-- deletes  remove\n',
  ),
  'sql/2-second/10_plans.sql': entityFile(
    'plans',
    'plan',
    ['p.id as person_id', 't.name as name', `case when p.id is null then 'people' end as missing`],
    {
      joins: ['left join ids.people as p on p.legacy_id = t.person_id'],
      header: '-- commit   batch\n',
    },
  ),
  'sql/2-second/20_pairs.sql': entityFile(
    'pairs',
    'pair',
    [
      'a.id as one_id',
      'b.id as other_id',
      't.note as note',
      `case when a.id is null or b.id is null then 'orphan' end as reject`,
    ],
    {
      header: '-- deletes  remove\n-- tolerance  90 %\n',
      joins: [
        'left join ids.people as a on a.legacy_id = t.one_id',
        'left join ids.people as b on b.legacy_id = t.other_id',
      ],
    },
  ),
};

/* A reference to a row that is gone and kept leads to it: here every one is of a living row. */
const SOURCE = `
  drop table if exists pair, plan, box, person, kind, staff, tag;
  drop type if exists mood;
  create table kind (id integer primary key, name text, spare text);
  create table person (
    id integer primary key, login text not null unique, mail text unique, kind_id integer,
    amount numeric, at timestamptz, facts jsonb, born date);
  create table box (
    id integer primary key, parent_id integer references box on delete set null, name text);
  create table plan (
    id integer primary key, person_id integer references person on delete set null, name text);
  create table pair (id integer primary key, one_id integer references person on delete cascade,
    other_id integer references person on delete cascade, note text, unique (one_id, other_id));
  create type mood as enum ('calm', 'glad', 'sad');
  create table staff (
    id integer primary key, first text, last text, code varchar(20), extra text, mood mood,
    ratio float8, span interval, tags text[], raw bytea, flag boolean, hour time);
  create table tag (id integer primary key, name text, amount numeric);
  grant select on all tables in schema public to legacy_reader`;

const SOURCE_ROWS = `
  truncate kind, person, box, plan, pair, staff, tag;
  insert into kind select g, concat('kind ', g), concat('spare ', g) from generate_series(1, 5) as g;
  insert into person select g, concat('login ', g), concat('mail ', g), g % 6, g / 7.0,
    timestamptz '2024-01-01' + g * interval '1 hour', jsonb_build_object('a', g), date '2000-01-01' + g
  from generate_series(1, 60) as g;
  insert into box select g, nullif(g / 2, 0), concat('box ', g) from generate_series(1, 30) as g;
  insert into plan select g, nullif(g % 60, 0), concat('plan ', g) from generate_series(1, 120) as g;
  insert into pair select g, g, g % 60 + 1, concat('pair ', g) from generate_series(1, 60) as g;
  insert into staff select g, concat('First ', g), concat('Last ', g), concat('code ', g), 'extra',
    'calm', g, '1 day', '{a,b}', '\\x00', g % 2 = 0, '00:00' from generate_series(1, 40) as g;
  insert into tag select g, concat('Tag ', g), g from generate_series(1, 40) as g`;

const TARGET = `
  create extension citext schema public;
  create type public.mood as enum ('calm', 'glad', 'sad');
  create table public.people (
    id uuid primary key, login text not null unique, mail text unique, kind text, amount numeric,
    at timestamptz, facts jsonb, born date, private text);
  create table public.boxes (
    id uuid primary key, parent_id uuid references public.boxes, name text, private text);
  create table public.staff (
    id uuid primary key, legacy_id integer unique, first text, last text, code text, extra text,
    mood public.mood, ratio float8, span interval, tags text[], raw bytea, flag boolean, hour time,
    private text);
  create table public.tags (
    id uuid primary key, legacy_id integer unique, name public.citext, amount numeric, private text);
  create table public.plans (
    id uuid primary key, person_id uuid references public.people, name text, private text);
  create table public.pairs (
    id uuid primary key, one_id uuid not null references public.people,
    other_id uuid not null references public.people, note text, private text,
    unique (one_id, other_id));
  ${TABLES.map((table) => `alter table public.${table} owner to postgres`).join(';')}`;

/** Rows that the application has before the first run; some have no source row yet. */
const THEIRS = `
  insert into public.staff (id, legacy_id, first, code, private)
  select md5(concat('staff ', g))::uuid, g, concat('First ', g), 'theirs', 'before us'
  from generate_series(1, 50, 4) as g;
  insert into public.tags (id, legacy_id, name, amount, private)
  select md5(concat('tag ', g))::uuid, g, concat('Tag ', g), g, 'before us'
  from generate_series(1, 50, 4) as g`;

/** Forgets every row, and all that the ledger knows of it; link, views and functions stay. */
const EMPTY = `
  truncate ${TABLES.map((table) => `public.${table}`).join(', ')};
  do $$ begin
    if to_regclass('migration.entities') is not null then
      truncate ${TABLES.map((table) => `ids.${table}`).join(', ')}, migration.ranges,
        migration.lookups, migration.lookup_ranges, migration.rejects, migration.gone,
        migration.filtered, migration.conflicts, migration.before_images;
      update migration.entities set status = 'new', map_size = 0, maps_seen = '{}', removed = 0,
        completed_run = null;
    end if;
  end $$`;

/** A source, a target that is brought up to date through a proxy, and one that starts anew. */
export interface World {
  pair: TestPair;
  fresh: TestPair;
  source: Sql;
  target: Sql;
  again: Sql;
  proxy: Proxy;
  project: Scratch;
  /** Tables of the source are not as they were made. */
  redefined: boolean;
}

/** Makes the databases. Odd seeds have the oldest source there is, even ones the newest. */
export async function makeWorld(seed: number): Promise<World> {
  const sources = seed % 2 === 0 ? ({ sourceMajor: 17 } as const) : {};
  const project = tinyProject(PROJECT);
  const pair = await testPair({ name: 'fuzz', source: 'empty', ...sources });
  const fresh = await testPair({ name: 'fuzz_fresh', source: 'empty', ...sources });
  const source = open(pair.sourceAdminUrl);
  const [target, again] = [open(pair.targetAdminUrl), open(fresh.targetAdminUrl)];
  const proxy = await startProxy({ port: Number(new URL(pair.targetUrl).port) });
  for (const sql of [target, again]) await sql.unsafe(TARGET);
  const world = { pair, fresh, source, target, again, proxy, project, redefined: false };
  await source.unsafe(SOURCE);
  await source.unsafe(SOURCE_ROWS);
  await up(world);
  // several ranges, so that values move between chunks
  await target`update migration.source_tables set width = 15`;
  await emptyWorld(world);
  return world;
}

/** Brings the world back to its beginning: source rows, rows of the application, nothing of ours. */
export async function emptyWorld(world: World): Promise<void> {
  const { source, target } = world;
  if (world.redefined) await source.unsafe(SOURCE);
  world.redefined = false;
  await source.unsafe(SOURCE_ROWS);
  await target.unsafe(EMPTY);
  await target.unsafe(THEIRS);
}

export async function endWorld(world: World): Promise<void> {
  const { pair, fresh, source, target, again, proxy, project } = world;
  project.remove();
  await Promise.all([source.end(), target.end(), again.end()]);
  await proxy.stop();
  await pair.drop();
  await fresh.drop();
}

/** One `up` of the target that is brought up to date. */
export function up(
  { pair, project, proxy }: World,
  options: Pick<MigrateOptions, 'full' | 'jobs' | 'pieceRows' | 'policy'> = {},
): Promise<number> {
  const url = new URL(pair.targetUrl);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  return migrate(
    { sourceUrl: pair.sourceUrl, targetUrl: url.href },
    { root: project.root, phases: 2, tolerance: 0.9, removeMany: true, jobs: 1, ...options },
  );
}

/** Every column as text; NULL is null. */
export type Row = Record<string, string | null>;

/** A row of the target as it stands there: `key` where an id map has it, `mark` its version. */
export interface Stored {
  key: string | null;
  row: Row;
  mark: string;
}

/** All rows of a table of the target. */
export async function storedRows(target: Sql, table: Table): Promise<Stored[]> {
  const columns = ['id', ...COLUMNS[table], 'private'];
  return await target.unsafe<Stored[]>(`
    select m.legacy_id::text as key, t.xmin::text as mark,
      jsonb_object(array[${columns.map((name) => `'${name}'`).join(', ')}],
        array[${columns.map((name) => `t.${name}::text`).join(', ')}]) as row
    from public.${table} as t left join ids.${table} as m on m.id = t.id`);
}

/** Open rejects, a line each. */
export async function openRejects(target: Sql): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', entity, legacy_id, reason) as line from migration.rejects
    where resolved_run is null order by 1`;
  return rows.map(({ line }) => line);
}

/** What a migration from nothing holds, where the application has these rows: by table and key. */
export async function fromNothing(
  { again, fresh, pair, project }: World,
  theirs: Map<Table, { id: string; key: string }[]>,
): Promise<{ rows: Map<Table, Map<string, Row>>; rejects: string[] }> {
  await again.unsafe(EMPTY);
  for (const [table, rows] of theirs) {
    await again.unsafe(
      rows
        .map(
          ({ id, key }) => `insert into public.${table} (id, legacy_id) values ('${id}', ${key})`,
        )
        .join(';'),
    );
  }
  await migrate(
    { sourceUrl: pair.sourceUrl, targetUrl: fresh.targetUrl },
    { root: project.root, phases: 2, tolerance: 0.9, jobs: 1 },
  );
  const rows = new Map<Table, Map<string, Row>>();
  for (const table of TABLES) {
    const stored = await storedRows(again, table);
    rows.set(table, new Map(stored.flatMap(({ key, row }) => (key === null ? [] : [[key, row]]))));
  }
  return { rows, rejects: await openRejects(again) };
}
