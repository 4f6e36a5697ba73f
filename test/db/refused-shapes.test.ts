// deadline 240
/*
 * What a source or target may not be: refused before the first write, all of it at once, each with the reason and
 * the way round. The ways round are then taken: the rows arrive.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { explanationOf } from '../../runner/commands/outcome.ts';
import { PreflightFailed } from '../../runner/engine/run.ts';
import { dropPair, errorOf, migrate } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { open, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

/** Every case has a source table `thing` and a target table `rows` of its own: what is said has these names. */
interface Case {
  what: string;
  source: string;
  table?: string;
  header?: string;
  /** The select list of the view of `legacy.thing as t`. */
  columns: string;
  /** What it is of instead. */
  from?: string;
  target?: string;
  settings?: object;
  refused: RegExp;
  fix: RegExp;
  /** The way round: other words in the file, more statements. */
  instead?: Partial<
    Pick<Case, 'source' | 'table' | 'header' | 'columns' | 'from' | 'target' | 'settings'>
  >;
}

const PLAIN = 'create table public.rows (id uuid primary key, name text)';
const ROWS = `insert into thing (code, name) values ('a', 'A'), ('b', 'B')`;

const CASES: Case[] = [
  {
    what: 'a driving table without any key',
    source: `create table thing (code text, name text); ${ROWS}`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /code is not a unique key of the source table thing/,
    fix: /give the table a unique index on code/,
    instead: { source: 'alter table thing add primary key (code)' },
  },
  {
    what: 'another key than the primary key',
    source: `create table thing (code text primary key, name text); ${ROWS}`,
    header: '-- key     name\n',
    columns: 'migration.key_number(t.name) as legacy_key, t.name as name',
    refused: /name is not a unique key of the source table thing/,
    fix: /-- key  code/,
    instead: {
      header: '-- key     code\n',
      columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    },
  },
  {
    what: 'a unique key whose column may be empty',
    source: `create table thing (code text unique, name text); ${ROWS};
      insert into thing values (null, 'C'), (null, 'D')`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /code is not a unique key of the source table thing/,
    fix: /unique index on code|not null/,
    instead: {
      source: `delete from thing where code is null; alter table thing alter column code set not null`,
    },
  },
  {
    what: 'a key that is unique for some rows only',
    source: `create table thing (code text not null, name text); ${ROWS};
      create unique index on thing (code) where name <> 'x'`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /code is not a unique key of the source table thing/,
    fix: /unique index on code/,
    instead: { source: 'create unique index on thing (code) include (name)' },
  },
  {
    what: 'a column that an index only includes',
    source: `create table thing (number integer, code text, name text, primary key (number) include (code));
      insert into thing values (1, 'a', 'A'), (2, 'b', 'B')`,
    header: '-- key     number, code\n',
    columns: 'migration.key_number(row(t.number, t.code)) as legacy_key, t.name as name',
    refused: /number, code is not a unique key of the source table thing/,
    fix: /-- key  number/,
    instead: { header: '-- key     number\n', columns: 't.number as legacy_key, t.name as name' },
  },
  {
    what: 'one column of a key of two',
    source: `create table thing (code text, part text, name text, primary key (code, part));
      insert into thing values ('a', 'b', 'A'), ('a', 'a', 'B')`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /code is not a unique key of the source table thing/,
    fix: /-- key  code, part/,
    instead: {
      header: '-- key     code, part\n',
      columns: 'migration.key_number(row(t.code, t.part)) as legacy_key, t.name as name',
    },
  },
  {
    what: 'a key of two columns in another order than the header says',
    source: `create table thing (code text, part text, name text, primary key (code, part));
      insert into thing values ('a', 'b', 'A'), ('b', 'a', 'B')`,
    header: '-- key     code, part\n',
    columns: 'migration.key_number(row(t.part, t.code)) as legacy_key, t.name as name',
    refused: /legacy_key is not the key of thing \(code, part\)/,
    fix: /migration\.key_number\(row\(.*code, .*part\)\) as legacy_key/,
    instead: { columns: 'migration.key_number(row(t.code, t.part)) as legacy_key, t.name as name' },
  },
  {
    what: 'a number made of a key that is a whole number',
    source: `create table thing (code integer primary key, name text);
      insert into thing values (1, 'A'), (2, 'B')`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /the key of thing \(code\) is a whole number/,
    fix: /\.code as legacy_key/,
    instead: { columns: 't.code as legacy_key, t.name as name' },
  },
  {
    what: 'a view as the driving table',
    source: `create table things (code text primary key, name text);
      insert into things values ('a', 'A'), ('b', 'B');
      create view thing as select code, name from things`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /code is not a unique key of the source table thing/,
    fix: /a view has none; materialize it/,
    instead: {
      source: `drop view thing; create materialized view thing as select code, name from things;
        create unique index on thing (code)`,
    },
  },
  {
    what: 'the name of a table with capitals in small letters',
    source: `create table "Thing" (code text primary key, name text);
      insert into "Thing" values ('a', 'A'), ('b', 'B')`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /legacy\.thing|thing/,
    fix: /Thing|not in the source/,
    instead: { table: 'Thing' },
  },
  {
    what: 'a bigint id in the target',
    source: `create table thing (code text primary key, name text); ${ROWS}`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    target:
      'create table public.rows (id bigint generated always as identity primary key, name text)',
    refused: /public\.rows|rows has an id of type bigint/,
    fix: /id uuid/,
    instead: {
      target: `alter table public.rows rename column id to number;
        alter table public.rows add column id uuid not null unique default gen_random_uuid()`,
    },
  },
  {
    what: 'a target without a column id',
    source: `create table thing (code text primary key, name text); ${ROWS}`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    target: 'create table public.rows (code uuid primary key default gen_random_uuid(), name text)',
    refused: /rows has no column id/,
    fix: /id uuid/,
    instead: {
      target: 'alter table public.rows add column id uuid unique default gen_random_uuid()',
    },
  },
  {
    what: 'ids of the source that are no uuid',
    source: `create table thing (code text primary key, name text); ${ROWS}`,
    header: '-- key     code\n-- id      source\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.code as id, t.name as name',
    refused: /id is text, not uuid/,
    fix: /uuid/,
    instead: {
      header: '-- key     code\n',
      columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    },
  },
  {
    what: 'a number made of the key under another name',
    source: `create table thing (code text primary key, name text); ${ROWS}`,
    header: '-- key     code\n',
    columns: 't.number as legacy_key, t.name as name',
    from: '(select migration.key_number(s.code) as number, s.name as name from legacy.thing as s)',
    refused: /the key of thing \(code\) is no whole number/,
    fix: /migration\.key_number\(.*code\) as legacy_key/,
    instead: {
      columns: 't.legacy_key as legacy_key, t.name as name',
      from: '(select migration.key_number(s.code) as legacy_key, s.name as name from legacy.thing as s)',
    },
  },
  {
    what: 'ids of the source, and no column id',
    source: `create table thing (code uuid primary key, name text);
      insert into thing values (gen_random_uuid(), 'A'), (gen_random_uuid(), 'B')`,
    header: '-- key     code\n-- id      source\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /the view has no column id/,
    fix: /select the uuid of the source as id/,
    instead: {
      columns: 'migration.key_number(t.code) as legacy_key, t.code as id, t.name as name',
    },
  },
  {
    what: 'a column id that the header does not say',
    source: `create table thing (code uuid primary key, name text);
      insert into thing values (gen_random_uuid(), 'A'), (gen_random_uuid(), 'B')`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.code as id, t.name as name',
    refused: /id is given by the engine/,
    fix: /-- id  source/,
    instead: { header: '-- key     code\n-- id      source\n' },
  },
  {
    what: 'an enum of the source in a column of another type',
    source: `create type kind as enum ('A', 'B'); create table thing (code text primary key, name kind); ${ROWS}`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    target: `create type public.kind as enum ('A', 'B'); alter type public.kind owner to postgres;
      create table public.rows (id uuid primary key, name public.kind)`,
    refused: /name is legacy\.kind/,
    fix: /::text::(public\.)?kind/,
    instead: {
      columns: 'migration.key_number(t.code) as legacy_key, t.name::text::public.kind as name',
    },
  },
];

/** These stop what is read of the source: of several of them the first is said. */
const ALONE: Case[] = [
  {
    what: 'a table without a column id, and no key said',
    source: `create table thing (code text primary key, name text); ${ROWS}`,
    columns: 't.code as legacy_key, t.name as name',
    refused: /legacy_key|thing\.id|no column thing\.id/,
    fix: /-- key/,
    instead: {
      header: '-- key     code\n',
      columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    },
  },
  {
    what: 'a table that is in two schemas',
    source: `create table thing (code text primary key, name text); ${ROWS};
      create schema other; grant usage on schema other to legacy_reader; create table other.thing (code text primary key, name text)`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    settings: { sourceSchema: ['public', 'other'] },
    refused: /the source table thing is in the schemas other, public/,
    fix: /sourceSchema/,
    instead: { settings: { sourceSchema: 'public' } },
  },
  {
    what: 'a floating-point number as the key',
    source: `create table thing (code double precision primary key, name text);
      insert into thing values (1.5, 'A'), (2.5, 'B')`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /the key thing\.code is a floating-point number/,
    fix: /another unique key/,
    instead: {
      source: 'alter table thing add number integer unique not null generated always as identity',
      header: '-- key     number\n',
      columns: 't.number as legacy_key, t.name as name',
    },
  },
  {
    what: 'a row of a part that the header does not name',
    source: `create table thing (id integer primary key, name text);
      insert into thing values (1, 'A'), (2, 'B')`,
    header: '-- part    place  home, work\n',
    columns: 't.id as legacy_key, t.name as name, t.place as place',
    from: `(select s.id, s.name, p.place from legacy.thing as s
      cross join (values ('home'::text), ('work'), ('fax')) as p (place))`,
    refused: /the view shows a key twice/,
    fix: /every source row must appear once/,
    instead: {
      columns: `t.id as legacy_key, t.name as name, t.place as place,
        case when t.place = 'work' then 'elsewhere' end as filter`,
      from: `(select s.id, s.name, p.place from legacy.thing as s
        cross join (values ('home'::text), ('work')) as p (place))`,
    },
  },
  {
    what: 'a whole number below zero as the key',
    source: `create table thing (code integer primary key, name text);
      insert into thing values (-1, 'A'), (2, 'B')`,
    header: '-- key     code\n',
    columns: 't.code as legacy_key, t.name as name',
    refused: /the source table thing has negative/,
    fix: /range/,
  },
];

const test = suite<Context>('refused shapes');

test.before(async (context) => {
  const pair = await testPair({
    name: 'refused_shapes',
    source: 'empty',
    target: 'empty',
    sourceMajor: 17,
  });
  const [source, target] = [open(pair.sourceAdminUrl), open(pair.targetAdminUrl)];
  Object.assign(context, { pair, source, target });
  for (const [index, each] of [...CASES, ...ALONE].entries()) {
    await source.unsafe(named(each.source, index));
    await target.unsafe(
      named(`${each.target ?? PLAIN}; alter table public.rows owner to postgres`, index),
    );
  }
});

test.after(dropPair);

/** All files of a run: those whose ways round are taken. */
const ROUND: Case[] = CASES.map((each) => ({ ...each, ...each.instead }));
const said = new Map<string, string>();

test('all are refused at once, before the first write', async ({ pair }) => {
  const error = await errorOf(run(pair, CASES));
  assert.ok(error instanceof PreflightFailed, wordsOf(error));
  for (const { file, message, fix } of error.problems) {
    said.set(file, `${said.get(file) ?? ''}${message}\n${fix}\n`);
  }
});

for (const [index, { what, refused, fix }] of CASES.entries()) {
  test(`${what}: the reason, and the way round`, () => {
    const words = said.get(fileName(index)) ?? 'nothing';
    assert.ok(refused.test(general(words)), words);
    assert.ok(fix.test(general(words)), words);
  });
}

test('with the ways round all rows arrive', async ({ pair, source, target }) => {
  for (const [index, { instead }] of CASES.entries()) {
    await source.unsafe(named(instead?.source ?? '', index));
    await target.unsafe(named(instead?.target ?? '', index));
  }
  await run(pair, ROUND);
  for (const [index, { what, instead }] of CASES.entries()) {
    if (instead !== undefined) await arrived(target, index, what);
  }
});

for (const [place, each] of ALONE.entries()) {
  test(`${each.what}: the reason, and the way round`, async ({ pair, source, target }) => {
    const index = CASES.length + place;
    const words = general(wordsOf(await errorOf(run(pair, [...ROUND, each]))));
    assert.ok(each.refused.test(words), words);
    assert.ok(each.fix.test(words), words);
    if (each.instead === undefined) return;
    await source.unsafe(named(each.instead.source ?? '', index));
    ROUND.push({ ...each, ...each.instead });
    await run(pair, ROUND);
    await arrived(target, index, each.what);
  });
}

test('a target table that lacks, and two keys of one table', async ({ pair }) => {
  const file = (name: string, key: string): string =>
    fileOf(
      { header: `-- key     ${key}\n`, columns: `migration.key_number(t.${key}) as legacy_key` },
      0,
    ).replaceAll('rows_0', name);
  const project = tinyProject({
    'sql/1-x/10_nowhere.sql': file('nowhere', 'code'),
    'sql/1-x/20_rows_1.sql': file('rows_1', 'name'),
  });
  const error = await errorOf(migrate(pair, { root: project.root, phases: 1 }));
  project.remove();
  const words = wordsOf(error);
  assert.match(words, 'there is no table public.nowhere');
  assert.match(words, 'the key of thing_0 is name here, and code in sql/1-x/10_nowhere.sql');
});

test.run();

function wordsOf(error: Error): string {
  return error instanceof PreflightFailed
    ? error.problems.map(({ message, fix }) => `${message}\n${fix}`).join('\n')
    : explanationOf(error, '');
}

/** A run of these cases. */
async function run(pair: TestPair, cases: Case[]): Promise<number> {
  const files = cases.map((each, index) => [fileName(index), fileOf(each, index)]);
  const settings = cases.find((each) => each.settings !== undefined)?.settings ?? {};
  const project = tinyProject({
    ...Object.fromEntries(files),
    'sql/settings.json': JSON.stringify(settings),
  });
  try {
    return await migrate(pair, { root: project.root, phases: 1 });
  } finally {
    project.remove();
  }
}

function fileName(index: number): string {
  return `sql/1-x/${index + 10}_rows_${index}.sql`;
}

function fileOf(
  {
    table = 'thing',
    header = '',
    columns,
    from = `legacy.${table === 'thing' ? table : `"${table}"`}`,
  }: Pick<Case, 'table' | 'header' | 'columns' | 'from'>,
  index: number,
): string {
  const text = `-- Rows of a table.
--
-- target  public.rows
-- source  ${table}
${header}-- adopt   none

create view transform.rows as
select
  ${columns}
from ${from} as t;
`;
  return named(text, index);
}

function named(text: string, index: number): string {
  return text.replace(/\b([Tt]hing|rows|kind)\b/g, `$1_${index}`);
}

function general(text: string): string {
  return text.replace(/\b([Tt]hing|rows|kind)_\d+\b/g, '$1');
}

async function arrived(target: Sql, index: number, what: string): Promise<void> {
  const rows = await target`select name::text from public.${target(`rows_${index}`)} order by 1`;
  assert.equal([...rows], [{ name: 'A' }, { name: 'B' }], what);
}
