// deadline 180
/* `down --force` where not even force can: it says which rows are in the way, and what to do. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import {
  dumpRows,
  lastLine,
  runner,
  sameDump,
  type Scratch,
  succeed,
  tinyProject,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** A table of the application that refers to ours, and what is said of it. */
interface Case {
  what: string;
  tables: string;
  said: RegExp;
}

const FORCE = ['down', '1-one', '--force', '--yes'];

const CASES: Case[] = [
  {
    what: 'a key without an action',
    tables: `
      create table public.app (id integer primary key, maker uuid references public.makers);
      insert into public.app
      select g + 10, m.id from public.makers as m, generate_series(1, 4) as g where m.name = 'one'`,
    said: /makers: public\.app\.maker: 4 rows \(11; 12; 13; \.\.\.\)/,
  },
  {
    what: 'a key of several columns, of a table without a primary key',
    tables: `
      create table public.app (
        number integer, label text,
        foreign key (number, label) references public.makers (legacy_id, name) on delete restrict);
      insert into public.app values (2, 'two')`,
    said: /makers: public\.app\.\(number, label\): 1 row \(2, two\)/,
  },
  {
    what: 'a key that is looked at when the transaction ends',
    tables: `
      create table public.app (
        id integer primary key,
        maker uuid references public.makers deferrable initially deferred);
      insert into public.app select 7, m.id from public.makers as m where m.name = 'one'`,
    said: /makers: public\.app\.maker: 1 row \(7\)/,
  },
  {
    what: 'a column that would become NULL and must not',
    tables: `
      create table public.app (
        id integer primary key,
        maker uuid not null references public.makers on delete set null);
      insert into public.app select 8, m.id from public.makers as m where m.name = 'one'`,
    said: /makers: public\.app\.maker: 1 row \(8\)/,
  },
  {
    what: 'rows that refer to rows that would go as well',
    tables: `
      create table public.app (
        id integer primary key, maker uuid references public.makers on delete cascade);
      create table public.of_app (app integer references public.app);
      insert into public.app select 9, m.id from public.makers as m where m.name = 'one';
      insert into public.of_app values (9)`,
    said: /makers: [^\n]*"app" violates foreign key constraint "of_app_app_fkey" on table "of_app"/,
  },
];

const test = suite<Context>('down references');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'down_references', source: 'empty' }), {
    project: projectOf(),
  });
  const { pair, source, target, project } = context;
  await source.unsafe(`
    create table public.makers (id integer primary key, name text);
    grant select on public.makers to legacy_reader;
    insert into makers values (1, 'one'), (2, 'two')`);
  await target.unsafe(`
    set role postgres;
    create table public.makers (
      id uuid primary key, legacy_id integer, name text, unique (legacy_id, name));
    reset role`);
  await migrate(pair, { root: project.root });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

for (const { what, tables, said } of CASES) {
  test(`${what}: with --force it says which rows are in the way, and changes nothing`, async ({
    pair,
    target,
    project,
  }) => {
    await target.unsafe(`set role postgres; ${tables}; reset role`);
    const before = await dumpRows(target, { clock: true });
    const { code, stdout, stderr } = await runner(pair, FORCE, { root: project.root });
    sameDump(await dumpRows(target, { clock: true }), before);
    await target`drop table if exists public.of_app, public.app`;
    assert.is(code, 1, stdout + stderr);
    assert.match(stderr, said);
    assert.match(stderr, /nothing was changed[^]*delete these rows or let them refer to nothing/);
    assert.not.match(stderr, 'use --force');
  });
}

test('application rows that a key of several columns would take along stop a down without --force', async ({
  pair,
  target,
  project,
}) => {
  await target.unsafe(`
    set role postgres;
    create table public.app (
      number integer, label text,
      foreign key (number, label) references public.makers (legacy_id, name) on delete cascade);
    insert into public.app values (2, 'two'), (2, null);
    reset role`);
  const refused = await runner(pair, ['down', '1-one', '--yes', '--json'], { root: project.root });
  assert.is(refused.code, 1, refused.stderr);
  const { verdict, entities } = lastLine<{
    verdict: string;
    entities: { references: string[] }[];
  }>(refused);
  assert.equal([verdict, entities[0]?.references], ['stopped', ['public.app.(number, label) (1)']]);
  const [kept] = await target`select count(*)::integer as rows from public.app`;
  assert.is(kept?.['rows'], 2);
});

test('with --force the rows that go with their keys go', async ({ pair, target, project }) => {
  await succeed(pair, FORCE, { root: project.root });
  const rows = await target`select label from public.app`;
  assert.equal([...rows], [{ label: null }]);
});

test.run();

function projectOf(): Scratch {
  return tinyProject({
    'sql/1-one/10_makers.sql': `-- For the test.
--
-- target   public.makers
-- source   makers
-- adopt    none

create view transform.makers as
select
  s.id as legacy_key,
  s.id::integer as legacy_id,
  s.name as name
from legacy.makers as s;
`,
  });
}
