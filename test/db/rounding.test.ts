// deadline 180
/* No digit is lost unseen: a value the target would round, or a domain refuse, is a reject, or refused before that. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, errorOf, migrate, preparePair, rowsRead } from '../migrate.ts';
import { PreflightFailed } from '../../runner/engine/run.ts';
import type { TestPair } from '../pair.ts';
import { runner, type Scratch, succeed, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('rounding');

/** Columns: type in the source, type in the target, a value that fits and one that does not. */
const COLUMNS: [
  name: string,
  from: string,
  to: string,
  fits: string,
  wide: string,
  code: string,
][] = [
  ['price', 'numeric', 'numeric(10,2)', '1.5', '123.456789', '22003'],
  ['total', 'numeric(12,4)', 'numeric(10,2)', '-0.0100', '0.0001', '22003'],
  ['sum', 'numeric', 'numeric(4,2)', '99.99', '100', '22003'],
  ['shares', 'numeric[]', 'numeric(6,3)[]', '{0.5,NULL}', '{0.5,0.0005}', '22003'],
  [
    'at',
    'timestamp',
    'timestamp(3)',
    '2020-01-01 00:00:00.123',
    '2020-01-01 00:00:00.1234',
    '22008',
  ],
  [
    'since',
    'timestamptz',
    'timestamptz(0)',
    '2020-01-01 00:00:01+00',
    '2020-01-01 00:00:00.5+00',
    '22008',
  ],
  ['clock', 'time', 'time(0)', '12:00:00', '12:00:00.4', '22008'],
  ['code', 'varchar(400)', 'varchar(5)', 'abcde', 'abcdef', '22001'],
  ['mail', 'text', 'public.mail', 'a@b', 'none', '23514'],
  ['tag', `text default 'some'`, 'public.tag', 'some', '', '23502'],
  ['cents', 'numeric', 'public.cents', '0.25', '0.125', '22003'],
];

/** What the view makes of a column, where it is more than the column. */
const CASTS: Record<string, string> = {
  mail: 's.mail::public.mail',
  tag: `nullif(s.tag, '')::public.tag`,
};

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'rounding', source: 'empty' }), {
    project: projectOf(),
  });
  const { source, target } = context;
  const types = (which: 1 | 2) => COLUMNS.map((each) => `${each[0]} ${each[which]}`).join(', ');
  await source.unsafe(`
    create table public.amounts (id integer primary key, note text, ${types(1)});
    create table public.kept (id integer primary key, price numeric);
    grant select on all tables in schema public to legacy_reader`);
  await target.unsafe(`
    set role postgres;
    create domain public.mail as text check (value like '%@%');
    create domain public.tag as text not null;
    create domain public.money as numeric(6,2);
    create domain public.cents as public.money check (value >= 0);
    create table public.amounts (id uuid primary key, legacy_id integer, note text, ${types(2)});
    reset role`);
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('a value with more digits than the target stores is a reject that says so', async ({
  pair,
  source,
  target,
  project,
}) => {
  // key 1 holds what fits in all columns; then one row per column that does not fit
  await source.unsafe(`
    insert into amounts (id, ${COLUMNS.map(([name]) => name).join()})
    values (1, ${COLUMNS.map(([, , , fits]) => `'${fits}'`).join()})`);
  for (const [index, [name, , , , wide]] of COLUMNS.entries()) {
    await source.unsafe(`insert into amounts (id, ${name}) values (${index + 2}, '${wide}')`);
  }
  // rejects of the target are few by law
  await source`insert into amounts (id) select generate_series(1001, 20000)`;
  const run = await migrate(pair, { root: project.root });
  const rejects = await target<{ line: string }[]>`
    select concat_ws(' ', legacy_id, reason) as line from migration.rejects
    where resolved_run is null order by legacy_id`;
  assert.equal(
    rejects.map(({ line }) => line),
    COLUMNS.map(([, , , , , code], index) => `${index + 2} error_${code}`),
  );
  const named = await target<{ column_name: string }[]>`
    select column_name from migration.rejects where legacy_id between 2 and 9 order by legacy_id`;
  assert.equal(
    named.map(({ column_name: name }) => name),
    ['price', 'total', null, 'shares', 'at', 'since', 'clock', null],
  );
  const [stored] = await target.unsafe<Record<string, string>[]>(`
    select ${COLUMNS.map(([name]) => `${name}::text`).join()} from public.amounts where legacy_id = 1`);
  assert.equal(Object.values({ ...stored }).slice(0, 4), [
    '1.50',
    '-0.01',
    '99.99',
    '{0.500,NULL}',
  ]);
  assert.equal(await rowsRead(target, run), { amounts: 19_001 });
});

test('a row that fits counts as what was written: nothing is written again, verify agrees', async ({
  pair,
  source,
  target,
  project,
}) => {
  await source`delete from amounts where id between 2 and 1000`;
  await migrate(pair, { root: project.root });
  await source`update amounts set note = 'newer' where id = 1`;
  await migrate(pair, { root: project.root });
  const [conflicts] = await target`select count(*)::integer as count from migration.conflicts`;
  assert.is(conflicts?.['count'], 0);
  const before = await target`select xmin from public.amounts where legacy_id = 1`;
  await migrate(pair, { root: project.root, full: true });
  assert.equal(await target`select xmin from public.amounts where legacy_id = 1`, before);
  await succeed(pair, ['verify'], { root: project.root });
  await target`update public.amounts set price = 1.51 where legacy_id = 1`;
  const { code, stdout } = await runner(pair, ['verify', '--json'], { root: project.root });
  assert.is(code, 1);
  assert.match(stdout, /"columns":\["price"\]/);
});

test('types that differ in more than their digits are refused before anything is written', async ({
  pair,
  target,
}) => {
  await target.unsafe(`
    set role postgres;
    create table public.others (
      id uuid primary key, legacy_id integer, ratio numeric(10,2), mark char(3), at timestamptz(0),
      word numeric(10,2), total numeric(10,2));
    reset role`);
  const project = projectOf(
    entityFile('others', [
      's.price::double precision as ratio',
      's.note as mark',
      's.since::timestamp as at',
      's.code as word',
      's.price::integer as total',
    ]),
  );
  const error = await errorOf(migrate(pair, { root: project.root }));
  project.remove();
  assert.instance(error, PreflightFailed);
  assert.equal(
    (error as PreflightFailed).problems.map(({ message, fix }) => `${message}: ${fix}`),
    [
      'ratio is double precision, others stores numeric(10,2): make the expression numeric',
      'mark is text, others stores character(3): make the expression character(3)',
      'at is timestamp without time zone, others stores timestamp(0) with time zone: ' +
        'make the expression timestamp with time zone',
      'word is character varying(400), others stores numeric(10,2): make the expression numeric',
      'total is integer, others stores numeric(10,2): make the expression numeric',
    ],
  );
});

test('an archive copy that would round or cut is refused', async ({
  pair,
  source,
  target,
  project,
}) => {
  await source`insert into kept values (1, 123.456789)`;
  const error = await errorOf(migrate(pair, { root: project.root, archive: true }));
  assert.match(error.message, 'price is numeric in the source, numeric(10,2) in the copy');
  const [there] = await target`select to_regclass('legacy_archive.kept') as name`;
  assert.is(there?.['name'], null);
});

test.run();

function entityFile(name: string, columns: string[]): string {
  return `-- For the test.
--
-- target   public.${name}
-- source   amounts
-- adopt    none

create view transform.${name} as
select
  s.id as legacy_key,
  s.id::integer as legacy_id,
  ${columns.join(',\n  ')}
from legacy.amounts as s;
`;
}

function projectOf(more?: string): Scratch {
  const all = ['note', ...COLUMNS.map(([name]) => name)];
  return tinyProject({
    'sql/1-one/10_amounts.sql': entityFile(
      'amounts',
      all.map((name) => `${CASTS[name] ?? `s.${name}`} as ${name}`),
    ),
    ...(more === undefined ? {} : { 'sql/1-one/20_others.sql': more }),
    'sql/archive/kept.sql': `-- For the test.
--
-- target  legacy_archive.kept
-- source  kept

create table if not exists legacy_archive.kept (
  id    integer primary key,
  price numeric(10,2)
);
`,
  });
}
