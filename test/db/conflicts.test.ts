/* Rows that both sides changed: said at the end of the run that met them, and listed afterwards. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import {
  entityFile,
  lastLine,
  open,
  runner,
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

interface Row {
  entity: string;
  legacy_id: number;
  kind: string;
  resolution: string;
  run: number;
}

const SECRET = 'a-name-nobody-may-read';

const test = suite<Context>('conflicts');

test.before(async (context) => {
  context.pair = await testPair({ name: 'conflicts', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  context.project = tinyProject({
    'sql/1-one/10_parts.sql': entityFile('parts', 'parts', ['t.name']),
    'sql/1-one/20_things.sql': entityFile('things', 'things', ['t.name']),
  });
  await context.target.unsafe(`
    set role postgres;
    create table public.parts (id uuid primary key, name text);
    create table public.things (id uuid primary key, name text)`);
  await context.target.unsafe('reset role');
  await context.source.unsafe(`
    create table public.parts (id integer primary key, name text);
    create table public.things (id integer primary key, name text);
    grant select on public.parts, public.things to legacy_reader;
    insert into parts select n, 'part ' || n from generate_series(1, 10) as n;
    insert into things select n, 'thing ' || n from generate_series(1, 10) as n`);
});

test.after(async ({ pair, source, target, project }) => {
  project.remove();
  await Promise.all([source.end(), target.end()]);
  await pair.drop();
});

test('before anything, and after a run without any', async ({ pair, project }) => {
  assert.match((await succeed(pair, ['conflicts'], project)).stdout, 'nothing is migrated yet');
  const { stdout } = await succeed(pair, ['up'], project);
  assert.not.match(stdout, 'both sides');
  assert.match((await succeed(pair, ['conflicts'], project)).stdout, 'no conflicts');
});

test('the run that meets them says how many, and what became of them', async (context) => {
  const { pair, project } = context;
  await editBoth(context, 'parts', 3);
  const source = await succeed(pair, ['up'], project);
  assert.match(
    source.stdout,
    /both sides: 3 now as the source has them[^]*next: .*runner conflicts/,
  );
  await editBoth(context, 'things', 2);
  const target = await succeed(pair, ['up', '--on-conflict', 'target'], project);
  assert.match(target.stdout, 'both sides: 2 left as the application has them');
  assert.not.match(target.stdout, '3 now as the source');
  const nothing = await succeed(pair, ['up'], project);
  assert.not.match(nothing.stdout, 'both sides');
});

test('listed by entity, and row by row, without what the rows say', async ({ pair, project }) => {
  const list = await succeed(pair, ['conflicts'], project);
  assert.match(list.stdout, /parts +changed +source +3 +2/);
  assert.match(list.stdout, /things +changed +target +2 +3/);
  const rows = await succeed(pair, ['conflicts', 'parts', '--rows', '--json'], project);
  const { conflicts } = lastLine<{ conflicts: Row[] }>(rows);
  assert.equal(
    conflicts
      .map((row) => [row.entity, row.legacy_id, row.kind, row.resolution, row.run])
      .toSorted((a, b) => Number(a[1]) - Number(b[1])),
    [1, 2, 3].map((key) => ['parts', key, 'changed', 'source', 2]),
  );
  const shown = await succeed(pair, ['conflicts', '--rows', '--limit', '1'], project);
  assert.match(shown.stdout, /things/);
  assert.not.match(shown.stdout, /parts/);
  for (const { stdout } of [list, rows, shown]) assert.not.match(stdout, SECRET);
});

test('a wrong call: exit 2', async ({ pair, project }) => {
  for (const args of [['nothing'], ['--rows', '--limit', '0']]) {
    assert.is((await runner(pair, ['conflicts', ...args], project)).code, 2);
  }
});

test.run();

async function editBoth({ source, target }: Context, table: string, rows: number): Promise<void> {
  await source`update ${source(table)} set name = ${`${SECRET} new`} where id <= ${rows}`;
  await target`
    update public.${target(table)} set name = ${`${SECRET} edited`}
    where id in (select id from ids.${target(table)} where legacy_id <= ${rows})`;
}
