// deadline 240
/* A row's identity: the smallest change of every type arrives, is verified, and counts as an edit. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair, rowsRead } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { lastLine, runner, type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** Values that a row takes one after the other: NULL is JavaScript's null. */
interface Values {
  /** Type of the target column. */
  type: string;
  /** Type in the source where it is another one; the view casts. */
  from?: string;
  values: (string | null)[];
}

/** Neighbours by sign, scale, last digit, case, blank, offset, order, empty and NULL. */
const TYPES: Values[] = [
  { type: 'boolean', values: ['f', 't', null] },
  { type: 'smallint', values: ['-1', '1', '0', null] },
  { type: 'integer', values: ['-1', '1', '2147483647', null] },
  // the halves of an int8, and of what is stored as one, are folded by its hash
  { type: 'bigint', values: ['-1', '4294967295', '1', '-4294967296', null] },
  { type: 'numeric', values: ['-0.01', '0.01', '0.010', '0', '0.00', 'NaN', null] },
  { type: 'numeric(10,2)', values: ['-0.01', '0.01', '1.00', '-1.00', null] },
  { type: 'numeric(4,3)', values: ['-0.001', '0.001', null] },
  { type: 'real', values: ['-0', '0', '0.1', '0.10000001', 'NaN', null] },
  { type: 'double precision', values: ['-0', '0', '0.1', '0.10000000000000002', null] },
  { type: 'money', values: ['-0.01', '0.01', null] },
  { type: 'text', values: ['Anna', 'ANNA', 'Anna ', ' Anna', 'Ann\u00e4', 'Anna\u0308', '', null] },
  { type: 'character varying(50)', values: ['a', 'A', 'a ', '', null] },
  { type: 'character varying', values: ['a', 'a\n', '', null] },
  { type: 'character(3)', values: ['a', 'A', 'ab', null] },
  { type: 'public.citext', from: 'text', values: ['Anna', 'ANNA', '', null] },
  { type: 'text COLLATE public.any_case', values: ['a', 'A', '', null] },
  { type: 'bytea', values: ['\\x00', '\\x0000', '\\x', null] },
  {
    type: 'uuid',
    values: ['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000001', null],
  },
  {
    type: 'date',
    values: ['2020-01-01', '2020-01-02', 'infinity', '-infinity', '0001-01-01 BC', null],
  },
  { type: 'time without time zone', values: ['00:00:00', '24:00:00', '00:00:00.000001', null] },
  { type: 'time with time zone', values: ['12:00:00+00', '13:00:00+01', null] },
  {
    type: 'interval',
    values: ['1 day', '24:00:00', '30 days', '1 mon', '-00:00:01', '00:00:01', null],
  },
  {
    type: 'timestamp without time zone',
    values: ['1999-12-31 23:59:59.999999', '2000-01-01 01:11:34.967295', 'infinity', null],
  },
  {
    type: 'timestamp with time zone',
    values: [
      '1999-12-31 23:59:59.999999+00',
      '2000-01-01 01:11:34.967295+00',
      '2000-01-01 00:00:00+01',
      '-infinity',
      null,
    ],
  },
  { type: 'inet', values: ['10.0.0.1', '10.0.0.1/8', '::1', null] },
  { type: 'cidr', values: ['10.0.0.0/8', '10.0.0.0/9', null] },
  {
    type: 'jsonb',
    values: [
      '{"a": -0.01}',
      '{"a": 0.01}',
      '{"a": 0.010}',
      '{"a": "0.01"}',
      '{}',
      '[]',
      '""',
      'null',
      null,
    ],
  },
  { type: 'json', values: ['{"a":1,"b":2}', '{"b":2,"a":1}', '{"a":1, "b":2}', 'null', null] },
  { type: 'xml', values: ['<a/>', '<a />', null] },
  { type: 'public.mood', from: 'text', values: ['glad', 'Glad', null] },
  { type: 'public.amount', from: 'numeric', values: ['-0.01', '0.01', '0.010', null] },
  { type: 'numeric[]', values: ['{-0.01}', '{0.01}', '{0.010}', '{}', '{NULL}', null] },
  { type: 'text[]', values: ['{a}', '{A}', '{"a "}', '{""}', '{}', '[0:0]={a}', null] },
  { type: 'jsonb[]', values: ['{"{\\"a\\": -1}"}', '{"{\\"a\\": 1}"}', null] },
  { type: 'json[]', values: ['{1}', '{1.0}', null] },
  { type: 'numrange', values: ['[-0.01,1)', '[0.01,1)', '[0.01,1]', 'empty', null] },
  { type: 'point', values: ['(1,-1)', '(1,1)', '(-0,0)', '(0,0)', null] },
  { type: 'tsvector', values: ["'a':1", "'a':2", '', null] },
  { type: 'bit varying(8)', values: ['0', '00', '', null] },
  {
    type: 'public.pair',
    from: 'text',
    values: ['(-1.0,a)', '(1.0,a)', '(1.00,a)', '(1.0,A)', null],
  },
];

/** One row of source and target per step: a value, and the next one, in the column of its type. */
const STEPS = TYPES.flatMap(({ type, values }, index) =>
  values.map((before, step) => ({
    type,
    column: columnOf(index),
    before,
    after: values[(step + 1) % values.length] ?? null,
  })),
).map((step, index) => ({ ...step, key: index + 1 }));

const test = suite<Context>('identity');

test.before(async (context) => {
  Object.assign(
    context,
    await preparePair({ name: 'identity', source: 'empty', sourceMajor: 17 }),
    { project: projectOf() },
  );
  const { source, target } = context;
  await source.unsafe(`
    create table public.identity (
      id integer primary key, note text,
      ${TYPES.map(({ type, from }, index) => `${columnOf(index)} ${from ?? type.split(' COLLATE')[0]}`).join(',\n')}
    )`);
  await target.unsafe(`
    create collation public.any_case (
      provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create extension citext schema public;
    create type public.mood as enum ('glad', 'Glad');
    create domain public.amount as numeric;
    create type public.pair as (number numeric, word text);
    create table public.identity (
      id uuid primary key, legacy_id bigint, note text,
      ${TYPES.map(({ type }, index) => `${columnOf(index)} ${type}`).join(',\n')}
    );
    alter table public.identity owner to postgres;
    grant usage on type public.mood, public.amount, public.pair to postgres`);
  await source.unsafe('grant select on public.identity to legacy_reader');
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('every type of a column of the application is among them', async ({ target }) => {
  const rows = await target<{ type: string }[]>`
    select distinct case when t.typtype = 'e' then 'public.mood'
      else format_type(a.atttypid, null) end as type
    from pg_attribute as a
    join pg_class as c on c.oid = a.attrelid and c.relkind in ('r', 'p')
    join pg_type as t on t.oid = a.atttypid
    where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped`;
  const tried = TYPES.map(({ type }) => type.replace(/^public\.(?!mood)|\(.*\)| COLLATE.*/g, ''));
  assert.equal(
    rows.map(({ type }) => type).filter((type) => !tried.includes(type)),
    [],
  );
});

test('the smallest change of every type arrives', async ({ pair, source, target, project }) => {
  await fill(source, 'before');
  await migrate(pair, { root: project.root, phases: 1 });
  assert.equal(await stored(target), await expected(target, 'before'));
  await fill(source, 'after');
  await migrate(pair, { root: project.root, phases: 1 });
  assert.equal(await stored(target), await expected(target, 'after'));
  assert.equal(await rowsRead(target, await migrate(pair, { root: project.root, phases: 1 })), {});
});

test('verify finds the smallest edit of every type', async ({ pair, target, project }) => {
  assert.equal(await differing(pair, project), []);
  await edit(target, 'before');
  assert.equal(
    await differing(pair, project),
    STEPS.map(({ key, column }) => `${key} changed ${column}`),
  );
  await edit(target, 'after');
  assert.equal(await differing(pair, project), []);
});

test('the smallest edit of every type is noted as a conflict, with its image', async ({
  pair,
  source,
  target,
  project,
}) => {
  await edit(target, 'before');
  await source`update identity set note = 'changed in the source'`;
  const run = await migrate(pair, { root: project.root, phases: 1 });
  const conflicts = await target<{ key: number }[]>`
    select legacy_id::integer as key from migration.conflicts
    where run = ${run} and kind = 'changed' order by 1`;
  assert.equal(
    conflicts.map(({ key }) => key),
    STEPS.map(({ key }) => key),
  );
  const [images] = await target<{ count: number }[]>`
    select count(*)::integer as count from migration.before_images where run = ${run}`;
  assert.is(images?.count, STEPS.length);
  assert.equal(await stored(target), await expected(target, 'after'));
});

test('after a change of the method: what was missed arrives, what the application did stays', async ({
  pair,
  source,
  target,
  project,
}) => {
  const keyOf = (type: string, value: string) =>
    STEPS.find((step) => step.type === type && step.after === value)?.key ?? 0;
  const [missed, edited, removed, both] = ['-0.01', '0.01', '1.00', '-1.00'].map((value) =>
    keyOf('numeric(10,2)', value),
  );
  const column = target(columnOf(TYPES.findIndex(({ type }) => type === 'numeric(10,2)')));
  // as a release that did not see signs left it: the row is as we wrote it, and not as the source
  await target.begin(async (sql) => {
    await sql`update public.identity set ${column} = -${column} where legacy_id = ${missed ?? 0}`;
    await sql`insert into migration.writes (run) values (1)`;
  });
  await target`update migration.ranges set method = 1`;
  await target`
    update ids.identity set row_hash = row_hash + 1, written_hash = written_hash + 1`;
  const [refused] = [await runner(pair, ['verify'], { root: project.root })];
  assert.is(refused?.code, 1);
  assert.match(refused?.stderr ?? '', /run `runner up` first/);

  await target`update public.identity set ${column} = 7 where legacy_id = ${edited ?? 0}`;
  await target`delete from public.identity where legacy_id = ${removed ?? 0}`;
  await target`update public.identity set ${column} = 8 where legacy_id = ${both ?? 0}`;
  await source`update identity set note = 'newer' where id = ${both ?? 0}`;
  const run = await migrate(pair, { root: project.root, phases: 1 });
  assert.is((await rowsRead(target, run))['identity'], STEPS.length);
  const values = await target<{ key: number; value: string }[]>`
    select legacy_id::integer as key, ${column}::text as value from public.identity
    where legacy_id = any (${[missed ?? 0, edited ?? 0, removed ?? 0, both ?? 0]}) order by 1`;
  assert.equal(
    values.map(({ key, value }) => `${key} ${value}`),
    [`${missed} -0.01`, `${edited} 7.00`, `${both} -1.00`].toSorted(),
  );
  const conflicts = await target<{ line: string }[]>`
    select concat_ws(' ', legacy_id, kind) as line from migration.conflicts where run = ${run}`;
  assert.equal([...conflicts], [{ line: `${both} changed` }]);
  assert.equal(await rowsRead(target, await migrate(pair, { root: project.root, phases: 1 })), {});
  assert.equal((await differing(pair, project)).length, 2, 'the two edits');
});

test.run();

function columnOf(index: number): string {
  return `c${String(index + 1).padStart(2, '0')}`;
}

/** The project with one entity: every column of the source table, cast where the types differ. */
function projectOf(): Scratch {
  const columns = TYPES.map(({ type, from }, index) => {
    const column = columnOf(index);
    return `  i.${column}${from === undefined ? '' : `::${type}`} as ${column}`;
  });
  return tinyProject({
    'sql/1-types/10_identity.sql': `-- One column of every type.
--
-- target   public.identity
-- source   identity
-- adopt    none

create view transform.identity as
select
  i.id as legacy_key,
  i.id as legacy_id,
  i.note as note,
${columns.join(',\n')}
from legacy.identity as i;
`,
  });
}

/** Gives every row of the source its value. */
async function fill(source: Sql, which: 'before' | 'after'): Promise<void> {
  await source`truncate identity`;
  for (const step of STEPS) {
    await source`
      insert into identity (id, ${source(step.column)})
      values (${step.key}, ${step[which]}::text::${source.unsafe(sourceType(step.type))})`;
  }
}

/** The application gives every row its value. */
async function edit(target: Sql, which: 'before' | 'after'): Promise<void> {
  for (const step of STEPS) {
    await target`
      update public.identity
      set ${target(step.column)} = ${step[which]}::text::${target.unsafe(typeOf(step.type))}
      where legacy_id = ${step.key}`;
  }
}

/** What each row holds in the column of its step, as text. */
async function stored(target: Sql): Promise<string[]> {
  const lines: string[] = [];
  for (const { key, column } of STEPS) {
    const rows = await target<{ value: string | null }[]>`
      select ${target(column)}::text as value from public.identity where legacy_id = ${key}`;
    lines.push(`${key} ${column} ${rows.map(({ value }) => JSON.stringify(value)).join()}`);
  }
  return lines;
}

/** What it should hold: the value as its type prints it. */
async function expected(target: Sql, which: 'before' | 'after'): Promise<string[]> {
  const lines: string[] = [];
  for (const step of STEPS) {
    const [row] = await target<{ value: string | null }[]>`
      select ${step[which]}::text::${target.unsafe(typeOf(step.type))}::text as value`;
    lines.push(`${step.key} ${step.column} ${JSON.stringify(row?.value ?? null)}`);
  }
  return lines;
}

function typeOf(type: string): string {
  return type.replace(/ COLLATE.*/, '');
}

function sourceType(type: string): string {
  return TYPES.find((each) => each.type === type)?.from ?? typeOf(type);
}

/** Differences as `key kind columns`, in the order of the keys. */
async function differing(pair: TestPair, project: Scratch): Promise<string[]> {
  const ended = await runner(pair, ['verify', '--json'], { root: project.root });
  const { entities } = lastLine<{
    entities: { rows: { legacyKey: number; kind: string; columns: string[] }[] }[];
  }>(ended);
  return entities
    .flatMap(({ rows }) => rows)
    .toSorted((a, b) => a.legacyKey - b.legacyKey)
    .map(({ legacyKey, kind, columns }) => `${legacyKey} ${kind} ${columns.join()}`);
}
