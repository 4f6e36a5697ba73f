// deadline 240
/*
 * A key of every type, alone and beside a number. Its number is made twice, in the source for the sums of versions and in the
 * target for the rows: where the two are not the same, nothing is ever unchanged. The source is the oldest release.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, rowsRead, rowsWritten } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { open, type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** Values of each type that another release, another time zone or another setting could print otherwise. */
const KINDS: Record<string, [type: string, ...values: string[]]> = {
  uuid: ['uuid', '00000000-0000-0000-0000-000000000000', 'FFFFFFFF-ffff-4fff-8fff-ffffffffffff'],
  text: ['text', '', ' ', 'a', 'A', 'a ', 'ä', 'a\u0308', '"', '(a,b)', '\\', 'x'.repeat(2000)],
  varchar: ['varchar(10)', 'a', 'a '],
  bpchar: ['char(10)', 'a', 'ab', ''],
  name: ['name', 'a', 'B'],
  date: ['date', '2024-02-29', '0044-03-15 BC', 'infinity'],
  timestamp: ['timestamp', '2024-02-29 12:30:00.123456', '-infinity'],
  timestamptz: ['timestamptz', '2024-02-29 12:30:00+05', '1883-11-18 12:00:00+00'],
  time: ['time', '00:00:00', '24:00:00'],
  interval: ['interval', '1 day -02:03', '14 mons'],
  numeric: ['numeric', '1', '1.50', '-0.001', '123456789012345678901234567890', 'NaN'],
  boolean: ['boolean', 'true', 'false'],
  bytea: ['bytea', '\\x00ff', '\\x'],
  inet: ['inet', '10.0.0.1/8', '::1'],
  list: ['integer[]', '{1,2}', '{}', '{NULL}'],
  json: ['jsonb', '{"b": 1, "a": [1.0]}', '"x"'],
  kind: ['kind', 'one', 'two'],
  code: ['code', 'A1', 'B2'],
};

const test = suite<Context>('key kinds');

test.before(async (context) => {
  const pair = await testPair({ name: 'key_kinds', source: 'empty', target: 'empty' });
  const names = Object.keys(KINDS).flatMap((kind) => [kind, `${kind}_and_number`]);
  const project = tinyProject(
    Object.fromEntries(
      names.map((name, index) => [`sql/1-kinds/${index + 10}_${name}.sql`, fileOf(name)]),
    ),
  );
  Object.assign(context, {
    pair,
    project,
    source: open(pair.sourceAdminUrl),
    target: open(pair.targetAdminUrl),
  });
  const { source, target } = context;
  await source`create type kind as enum ('two', 'one')`;
  await source`create domain code as varchar(10)`;
  for (const [kind, [type, ...values]] of Object.entries(KINDS)) {
    await source.unsafe(`
      create table ${kind}_table (k ${type} primary key, name text);
      create table ${kind}_and_number_table (k ${type}, part smallint, name text, primary key (part, k))`);
    for (const [place, value] of values.entries()) {
      const name = `${kind} ${place}`;
      await source.unsafe(`insert into ${kind}_table values ($1::text::${type}, $2)`, [
        value,
        name,
      ]);
      await source.unsafe(
        `insert into ${kind}_and_number_table values ($1::text::${type}, -1, $2), ($1::text::${type}, 1, $2)`,
        [value, name],
      );
    }
  }
  await target.unsafe(
    names
      .map(
        (name) => `
        create table public."${name}" (id uuid primary key, name text);
        alter table public."${name}" owner to postgres;`,
      )
      .join(''),
  );
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('every row is stored, and no two are one', async (context) => {
  await run(context);
  await same(context);
});

test('a run with nothing to do reads nothing', async (context) => {
  assert.equal(await rowsRead(context.target, await run(context)), {});
});

test('a row that changes is read, and the table it is in; no other', async (context) => {
  const { source, target } = context;
  for (const kind of Object.keys(KINDS)) {
    await source.unsafe(`update ${kind}_and_number_table set name = 'new' where part = 1`);
    const read = await rowsRead(target, await run(context));
    assert.equal(Object.keys(read), [`${kind}_and_number`]);
  }
  await same(context);
});

test('a run that compares every row has nothing to write', async (context) => {
  const whole = await migrate(context.pair, { root: context.project.root, phases: 1, full: true });
  assert.equal(await rowsWritten(context.target, whole), {});
});

test.run();

function run({ pair, project }: Context): Promise<number> {
  return migrate(pair, { root: project.root, phases: 1 });
}

/** The names of all rows, of both sides. */
async function same({ source, target }: Context): Promise<void> {
  for (const kind of Object.keys(KINDS)) {
    for (const name of [kind, `${kind}_and_number`]) {
      const there = await source`select name from ${source(`${name}_table`)} order by 1`;
      const here = await target`select name from public.${target(name)} order by 1`;
      assert.equal([...here], [...there], name);
    }
  }
}

function fileOf(name: string): string {
  const pair = name.endsWith('_and_number');
  return `-- Rows by a key of a type.
--
-- target  public.${name}
-- source  ${name}_table
-- key     ${pair ? 'k, part' : 'k'}
-- adopt   none

create view transform.${name} as
select
  migration.key_number(${pair ? 'row(t.k, t.part)' : 't.k'}) as legacy_key,
  t.name as name
from legacy.${name}_table as t;
`;
}
