// deadline 180
/* Rows of the application that were overwritten or removed: `down` gives back what they were. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { lastLine, runner, type Scratch, succeed, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** The last line of `down --json`. */
interface Report {
  verdict: string;
  entities: { created: number; restored: number; touched: number }[];
}

/** A value that JSON does not hold as it is, or that is easily changed on its way. */
const VALUES: [type: string, value: string][] = [
  ['jsonb', `'null'`],
  ['jsonb', `'"null"'`],
  ['jsonb', `'"{\\"a\\": 1}"'`],
  ['jsonb', `'{"a": [1.50, null]}'`],
  ['json', `'{"b":1,  "a":-0, "b":"\\u0000"}'`],
  ['json', `'null'`],
  ['public.document', `'null'`],
  ['public.document', `'{"a": "null"}'`],
  ['integer[]', `'[0:1]={1,2}'`],
  ['integer[]', `'{}'`],
  ['integer[]', `'{{1,2},{NULL,4}}'`],
  ['jsonb[]', `array['null', null, '"a"']::jsonb[]`],
  ['text[]', `array['a,"b"', '', null, 'null']`],
  ['text', `''`],
  ['text', `e'"quoted" \\\\ {a}, \\n\\ttab'`],
  ['text', `null`],
  ['character(3)', `'a'`],
  ['character varying(5)', `'a  '`],
  ['bytea', `'\\x00ff'`],
  ['numeric', `'NaN'`],
  ['numeric', `'-Infinity'`],
  ['numeric', `'1.500'`],
  ['numeric', `'12345678901234567890.00000000001'`],
  ['double precision', `'-0'`],
  ['double precision', `'0.1'`],
  ['real', `'Infinity'`],
  ['bigint', `9007199254740993`],
  ['timestamptz', `'infinity'`],
  ['timestamptz', `'1999-12-31 23:59:59.999999+00'`],
  ['timestamp', `'0044-03-15 12:00:00 BC'`],
  ['date', `'-infinity'`],
  ['time', `'24:00'`],
  ['interval', `'1 mon -1 day 00:00:00.000001'`],
  ['boolean', `false`],
  ['bit varying(8)', `'0101'`],
  ['inet', `'10.0.0.1'`],
  ['inet', `'10.0.0.1/8'`],
  ['numrange', `'(-1,]'`],
  ['point', `'(-0,1)'`],
  ['money', `'-1.50'`],
  ['xml', `'<a>&amp;</a>'`],
  ['tsvector', `'''a'':1A'`],
  ['public.mood', `'Glad'`],
  ['public.pair', `'("a ""b"", c",null)'`],
  ['public.pair', `'(,)'`],
  ['uuid', `'00000000-0000-0000-0000-000000000001'`],
];

const test = suite<Context>('down images');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'down_images', source: 'empty' }), {
    project: projectOf(),
  });
  const { pair, source, target, project } = context;
  await source.unsafe(`
    create table public.things (id integer primary key, name text);
    grant select on public.things to legacy_reader`);
  await target.unsafe(`
    set role postgres;
    create type public.mood as enum ('glad', 'Glad');
    create domain public.base_document as jsonb;
    create domain public.document as public.base_document;
    create type public.pair as (word text, value jsonb);
    create function public.touch() returns trigger language plpgsql as $$
    begin
      new.touched_at := clock_timestamp();
      return new;
    end $$;
    create table public.things (
      id uuid primary key default gen_random_uuid(), legacy_id integer, name text, note text,
      touched_at timestamptz,
      number bigint generated always as identity (start with 100),
      twice integer generated always as (legacy_id * 2) stored,
      ${VALUES.map(([type], index) => `v${index} ${type}`).join(', ')});
    create trigger touch before update on public.things
    for each row execute function public.touch();
    reset role`);
  await migrate(pair, { root: project.root });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('rows that were overwritten and rows that were removed come back exactly', async ({
  pair,
  source,
  target,
  project,
}) => {
  await fill(source, target, [1, 2, 3]);
  const before = await rows(target);
  const run = () => migrate(pair, { root: project.root });
  await run();
  await source`delete from things where id = 2`;
  await run();
  await source`update things set name = 'newer' where id = 3`;
  await run();
  assert.equal(
    (await rows(target)).map((row) => row.split('|')[0]),
    ['1', '3'],
  );
  const [report] = await down(pair, project);
  assert.is(report?.restored, 3);
  assert.equal(await rows(target), before);
});

test('images of an older release come back, too', async ({ pair, source, target, project }) => {
  await fill(source, target, [1]);
  // what JSON does not hold it did not keep, and what it cannot read it kept in vain
  await target`
    update public.things set v0 = null, v4 = '{"b":1,  "a":-0}', v5 = null, v6 = null,
      v8 = '{1,2}', v11 = null, v43 = null`;
  const before = await rows(target);
  const [old] = await target<{ image: string }[]>`
    select row_to_json(t)::text as image from public.things as t`;
  await migrate(pair, { root: project.root });
  await target`update migration.before_images set image = ${old?.image ?? ''}::text::json`;
  await down(pair, project);
  assert.equal(await rows(target), before);
});

test('columns newer than the image keep their value; in a row that comes back they have their default', async ({
  pair,
  source,
  target,
  project,
}) => {
  await fill(source, target, [1, 2]);
  await migrate(pair, { root: project.root });
  await source`delete from things where id = 2`;
  await migrate(pair, { root: project.root });
  await target`
    alter table public.things add newer text not null default 'fresh', add document jsonb,
      add plain integer`;
  await target`
    update public.things set newer = 'mine', document = 'null', plain = 1 where legacy_id = 1`;
  await down(pair, project, '--force');
  const left = await target`
    select legacy_id as key, name, newer, document::text as document, plain
    from public.things order by 1`;
  assert.equal(
    [...left],
    [
      { key: 1, name: 'application 1', newer: 'mine', document: 'null', plain: 1 },
      { key: 2, name: 'application 2', newer: 'fresh', document: null, plain: null },
    ],
  );
  await target`alter table public.things drop newer, drop document, drop plain`;
});

test('a row that the application changed before our last write counts as changed', async ({
  pair,
  source,
  target,
  project,
}) => {
  await fill(source, target, []);
  await source`insert into things values (1, 'source'), (2, 'source')`;
  await migrate(pair, { root: project.root });
  await target`
    update public.things set name = 'edited', note = 'of the application' where legacy_id = 1`;
  await source`update things set name = 'newer'`;
  await migrate(pair, { root: project.root });
  const refused = await runner(pair, ['down', '1-one', '--yes', '--json'], { root: project.root });
  assert.is(refused.code, 1, refused.stdout);
  const { verdict, entities } = lastLine<Report>(refused);
  assert.equal([verdict, entities[0]?.created, entities[0]?.touched], ['stopped', 2, 1]);
  await down(pair, project, '--force');
});

test('what was removed is not asked about again, and comes back where we hold its id now', async ({
  pair,
  source,
  target,
  project,
}) => {
  await fill(source, target, [1]);
  await target`update public.things set id = migration.new_id('things', 1)`;
  const before = await rows(target);
  const run = () => migrate(pair, { root: project.root });
  await source`insert into things values (2, 'source')`;
  await run();
  await target`update public.things set name = 'edited' where legacy_id = 2`;
  await source`delete from things`;
  await run();
  await source`insert into things values (1, 'source')`;
  await run();
  const [mapped] = await target`select id::text, adopted from ids.things`;
  assert.is(mapped?.['adopted'], false);
  assert.match(before[0] ?? '', String(mapped?.['id']));
  const [report] = await down(pair, project);
  assert.equal([report?.created, report?.restored, report?.touched], [1, 1, 0]);
  assert.equal(await rows(target), before);
});

test('what the application did in columns that we do not write stays in its rows', async ({
  pair,
  source,
  target,
  project,
}) => {
  await fill(source, target, [1, 2, 3]);
  const before = await rows(target);
  await migrate(pair, { root: project.root });
  await target`
    update public.things set name = 'edited', note = 'before our write' where legacy_id = 1`;
  await source`update things set name = 'newer'`;
  await migrate(pair, { root: project.root });
  await target`update public.things set note = 'after our write' where legacy_id = 2`;
  const refused = await runner(pair, ['down', '1-one', '--yes', '--json'], { root: project.root });
  const { verdict, entities } = lastLine<Report>(refused);
  assert.equal([verdict, entities[0]?.restored, entities[0]?.touched], ['stopped', 3, 2]);
  await down(pair, project, '--force');
  const left = await target`select legacy_id as key, name, note from public.things order by 1`;
  assert.equal(
    [...left],
    [
      { key: 1, name: 'application 1', note: 'before our write' },
      { key: 2, name: 'application 2', note: 'after our write' },
      { key: 3, name: 'application 3', note: null },
    ],
  );
  // what a trigger did while we wrote is undone where the application did nothing since
  assert.equal((await rows(target)).at(-1), before.at(-1));
});

test('after a restore of the target only what was edited since is changed', async ({
  pair,
  source,
  target,
  project,
}) => {
  await fill(source, target, [1, 2, 3]);
  const before = await rows(target);
  await migrate(pair, { root: project.root });
  // every row is new, and of one transaction
  await target.begin(async (sql) => {
    await sql`set local session_replication_role = replica`;
    await sql`update public.things set name = name`;
    await sql`update ids.things set id = id`;
    await sql`update migration.writes set run = run`;
    await sql`update migration.lease set run = run`;
  });
  await migrate(pair, { root: project.root });
  await target`update public.things set note = 'theirs' where legacy_id = 2`;
  const refused = await runner(pair, ['down', '1-one', '--yes', '--json'], { root: project.root });
  const { verdict, entities } = lastLine<Report>(refused);
  assert.equal([verdict, entities[0]?.restored, entities[0]?.touched], ['stopped', 3, 1]);
  await down(pair, project, '--force');
  assert.equal((await rows(target)).at(-1), before.at(-1));
});

test.run();

async function down(
  pair: TestPair,
  project: Scratch,
  ...options: string[]
): Promise<Report['entities']> {
  const args = ['down', '1-one', '--yes', '--json', ...options];
  return lastLine<Report>(await succeed(pair, args, { root: project.root })).entities;
}

/** The application has these rows, with every value; so has the source, by another name. */
async function fill(source: Sql, target: Sql, keys: number[]): Promise<void> {
  await target`select migration.clear_entity('things')`;
  await source`truncate things`;
  await target`truncate public.things`;
  for (const key of keys) {
    await source`insert into things values (${key}, 'source')`;
    await target.unsafe(`
      insert into public.things (
        legacy_id, name, ${VALUES.map((_, index) => `v${index}`).join(', ')})
      values (${key}, 'application ${key}', ${VALUES.map(([, value]) => value).join(', ')})`);
  }
}

/** Every row as text: key, a bar, and all columns. */
async function rows(target: Sql): Promise<string[]> {
  const found = await target<{ row: string }[]>`
    select concat(t.legacy_id, '|', t) as row from public.things as t order by t.legacy_id`;
  return found.map(({ row }) => row);
}

function projectOf(): Scratch {
  return tinyProject({
    'sql/1-one/10_things.sql': `-- For the test.
--
-- target   public.things
-- source   things
-- adopt    legacy_id
-- deletes  remove

create view transform.things as
select
  s.id as legacy_key,
  s.id::integer as legacy_id,
  s.name as name
from legacy.things as s;
`,
  });
}
