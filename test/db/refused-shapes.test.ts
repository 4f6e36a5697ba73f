// deadline 240
/*
 * What a source or target may not be: refused before the first write, with the reason and the way round. What the
 * way round says is then tried: with it the rows arrive.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate } from '../migrate.ts';
import { PreflightFailed } from '../../runner/engine/run.ts';
import { explanationOf } from '../../runner/commands/outcome.ts';
import { testPair, type TestPair } from '../pair.ts';
import { open, type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

interface Case {
  what: string;
  /** Statements for the source, before. */
  source: string;
  /** The header after target and source, and the select list of the view of `legacy.<table> as t`. */
  table?: string;
  header?: string;
  columns: string;
  target?: string;
  settings?: object;
  refused: RegExp;
  /** What the message proposes instead. */
  fix: RegExp;
  /** The way round: other words in the file, other statements. */
  instead?: {
    header?: string;
    columns?: string;
    source?: string;
    target?: string;
    settings?: object;
  };
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
    instead: { source: 'create unique index on thing (code)' },
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
    what: 'a column of another name as the key',
    source: `create table thing (code text primary key, name text); ${ROWS}`,
    header: '-- key     codes\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /thing\.codes|no column/,
    fix: /-- key/,
    instead: { header: '-- key     code\n' },
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
    what: 'a table that is in two schemas',
    source: `create table thing (code text primary key, name text); ${ROWS};
      create schema other; create table other.thing (code text primary key, name text)`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    settings: { sourceSchema: ['public', 'other'] },
    refused: /the source table thing is in the schemas other, public/,
    fix: /sourceSchema/,
    instead: { settings: { sourceSchema: 'public' } },
  },
  {
    what: 'the name of a table with capitals in small letters',
    source: `create table "Thing" (code text primary key, name text);
      insert into "Thing" values ('a', 'A'), ('b', 'B')`,
    header: '-- key     code\n',
    columns: 'migration.key_number(t.code) as legacy_key, t.name as name',
    refused: /thing/,
    fix: /"?Thing/,
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
      target: `alter table public.rows drop constraint rows_pkey;
        alter table public.rows rename column id to number;
        alter table public.rows add column id uuid primary key default gen_random_uuid()`,
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
  Object.assign(context, {
    pair,
    source: open(pair.sourceAdminUrl),
    target: open(pair.targetAdminUrl),
  });
});

test.after(dropPair);

for (const each of CASES) {
  test(`${each.what} is refused${each.instead === undefined ? '' : '; the way round works'}`, async (context) => {
    const { source, target } = context;
    await source.unsafe(`
      drop schema public cascade; drop schema if exists other cascade; create schema public;
      grant usage on schema public to legacy_reader;
      alter default privileges in schema public grant select on tables to legacy_reader;
      ${each.source}`);
    await target.unsafe(`
      drop schema if exists migration, merge, transform, ids, legacy, legacy_versions, legacy_archive cascade;
      drop server if exists legacy_source cascade;
      drop table if exists public.rows; drop type if exists public.kind;
      ${each.target ?? PLAIN}; alter table public.rows owner to postgres`);
    const said = await refusal(context, each);
    assert.match(said, each.refused);
    assert.match(said, each.fix);
    if (each.instead === undefined) return;
    const { instead } = each;
    await source.unsafe(instead.source ?? '');
    await target.unsafe(instead.target ?? '');
    assert.is(await refusal(context, { ...each, ...instead }), '');
    const rows = await target`select name::text from public.rows order by 1`;
    assert.equal([...rows], [{ name: 'A' }, { name: 'B' }]);
  });
}

test('a target table that lacks is refused', async (context) => {
  const { source, target } = context;
  await source.unsafe('create table if not exists thing (code text primary key, name text)');
  await target`drop table public.rows`;
  assert.match(
    await refusal(context, { columns: 't.code as legacy_key', header: '-- key     code\n' }),
    /there is no table public\.rows/,
  );
});

test('two files that call different columns the key of a table', async (context) => {
  const files = (key: string) =>
    fileOf({
      header: `-- key     ${key}\n`,
      columns: `migration.key_number(t.${key}) as legacy_key`,
    });
  const said = await refusalOf(
    context,
    tinyProject({
      'sql/1-x/10_rows.sql': files('code'),
      'sql/1-x/20_lines.sql': files('name').replace('transform.rows', 'transform.lines'),
    }),
  );
  assert.match(said, /the key of thing is name here, and code in sql\/1-x\/10_rows\.sql/);
});

test.run();

type File = Pick<Case, 'table' | 'header' | 'columns' | 'settings'>;

function fileOf({ table = 'thing', header = '', columns }: File): string {
  return `-- Rows of a table.
--
-- target  public.rows
-- source  ${table}
${header}-- adopt   none

create view transform.rows as
select
  ${columns}
from legacy.${table} as t;
`;
}

function projectOf(file: File): Scratch {
  return tinyProject({
    'sql/1-x/10_rows.sql': fileOf(file),
    'sql/settings.json': JSON.stringify(file.settings ?? {}),
  });
}

/** What is said, findings and fixes, where a run is refused; empty where it is not. Nothing was written. */
async function refusal(context: Context, file: File): Promise<string> {
  return refusalOf(context, projectOf(file));
}

async function refusalOf({ pair }: Context, project: Scratch): Promise<string> {
  try {
    await migrate(pair, { root: project.root, phases: 1 });
    return '';
  } catch (error) {
    if (error instanceof PreflightFailed) {
      return error.problems.map(({ message, fix }) => `${message}\n${fix}`).join('\n');
    }
    return explanationOf(error, '');
  } finally {
    project.remove();
  }
}
