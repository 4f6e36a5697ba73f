// deadline 120
/*
 * A table without any key, a log, has a place in the archive: equal rows are counted, rows with NULLs are rows.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, preparePair } from '../migrate.ts';
import { type TestPair } from '../pair.ts';
import { runner, type Scratch, succeed, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('keyless archive');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'keyless_archive', source: 'empty' }), {
    project: tinyProject({
      'sql/1-x/.gitkeep': '',
      'sql/archive/log.sql': `-- What the old application noted.
--
-- target  legacy_archive.log
-- source  log

create table if not exists legacy_archive.log (
  at   timestamp,
  said text,
  code text,
  part float8
);
`,
      'sql/archive/country.sql': `-- Countries, whose codes are padded.
--
-- target  legacy_archive.country
-- source  country
-- key     code

create table if not exists legacy_archive.country (
  code text primary key,
  flag text
);
`,
    }),
  });
  await context.source.unsafe(`
    create table log (at timestamp, said varchar(20), code char(4), part float8);
    insert into log values ('2020-01-01', 'in', 'a', 0.1), ('2020-01-01', 'in', 'a', 0.1), ('2020-01-01', 'in', 'a', 0.1),
      (null, null, null, null), (null, null, null, null), ('2020-01-02', 'out', null, 1e-300);
    create table country (code char(3) primary key, flag char(5));
    insert into country values ('at', 'red'), ('li', null);
    grant select on all tables in schema public to legacy_reader`);
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

const rowsOf = (sql: Sql, table: string) =>
  sql`select at::text, said, rtrim(code) as code, part from ${sql(table)} order by 1, 2, 3`.values();

async function follows({ pair, source, target, project: { root } }: Context): Promise<void> {
  await succeed(pair, ['up'], { root });
  assert.equal(
    [...(await rowsOf(target, 'legacy_archive.log'))],
    [...(await rowsOf(source, 'public.log'))],
  );
  await succeed(pair, ['verify'], { root });
  await succeed(pair, ['check', 'archive'], { root });
}

test('every row is there, equal ones as often as in the source', async (context) => {
  await follows(context);
  const [counts] = await context.target`
    select inserted, unchanged, gone from migration.control where entity = 'legacy_archive.log'`;
  assert.equal({ ...counts }, { inserted: '6', unchanged: '0', gone: '0' });
});

test('it follows the source, and writes what differs', async (context) => {
  await context.source.unsafe(`
    delete from log where ctid = (select min(ctid) from log where said = 'in');
    update log set said = 'left' where said = 'out';
    insert into log values (null, null, null, null);
    update country set flag = 'white' where code = 'at'`);
  await follows(context);
  const [counts] = await context.target`
    select inserted, unchanged, gone from migration.control where entity = 'legacy_archive.log'
    order by run desc limit 1`;
  assert.equal({ ...counts }, { inserted: '2', unchanged: '4', gone: '2' });
});

for (const [what, plant] of [
  ['one of two equal rows lost', `(select min(ctid) from legacy_archive.log where said = 'in')`],
  ['one of three empty rows lost', '(select min(ctid) from legacy_archive.log where at is null)'],
] as const) {
  test(`verify and the data check find ${what}; up --full puts it back`, async (context) => {
    const { pair, target, project } = context;
    const { root } = project;
    await target.unsafe(`delete from legacy_archive.log where ctid = ${plant}`);
    const found = await runner(pair, ['verify'], { root });
    assert.is(found.code, 1, found.stdout);
    assert.match(found.stdout, /legacy_archive\.log.*missing/);
    assert.is((await runner(pair, ['check', 'archive'], { root })).code, 1);
    await succeed(pair, ['up', '--full'], { root });
    await follows(context);
  });
}

test.run();
