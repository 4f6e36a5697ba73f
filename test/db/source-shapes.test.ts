// deadline 300
/*
 * Sources as they are: several schemas, names with capitals, enums and domains that the target does not
 * have, partitions, views. What a source changes about them arrives; in the schemas of the application nothing is made.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  changeSchema,
  dumpCatalog,
  open,
  runner,
  sameDump,
  succeed,
  type Dump,
} from '../runner.ts';
import { PreflightFailed } from '../../runner/engine/run.ts';
import { errorOf, rowsRead } from '../migrate.ts';
import { testPair } from '../pair.ts';
import { again, asFromNothing, type Neutral, onNeutral } from './neutral.ts';

const test = suite<Neutral>('source shapes');

onNeutral(test, 'source_shapes');

/** The schemas that are the application's. */
const SCHEMAS = ['public', 'billing'];

test('a run makes, changes and takes away nothing in the schemas of the application', async ({
  target,
  project,
}) => {
  const untouched = await testPair({ name: 'untouched', source: 'empty', target: 'neutral' });
  await changeSchema(untouched, project.root);
  const other = open(untouched.targetAdminUrl);
  try {
    sameDump(await catalogs(target), await catalogs(other), 'after a run');
  } finally {
    await other.end();
    await untouched.drop();
  }
});

test('tables of two schemas, and those whose names have capitals, are linked under their names', async ({
  target,
}) => {
  const linked = await target<{ name: string }[]>`
    select c.relname as name from pg_class as c
    where c.relnamespace = 'legacy'::regnamespace and c.relkind = 'f' order by c.relname collate "C"`;
  assert.equal(
    linked.map(({ name }) => name),
    [
      'Customer',
      'actor',
      'country',
      'customer_totals',
      'film',
      'film_activity',
      'film_actor',
      'language',
      'payment',
      'price_list',
      'rental',
    ],
  );
});

test('a secret of a table with capitals cannot be read through the link', async ({ target }) => {
  const columns = await target<{ name: string }[]>`
    select attname as name from pg_attribute
    where attrelid = 'legacy."Customer"'::regclass and attnum > 0 and not attisdropped`;
  assert.ok(columns.some(({ name }) => name === 'EMail'));
  assert.not(columns.some(({ name }) => name === 'PasswordHash'));
});

test('an enum of the source is a type of schema legacy, a domain what stands below it', async ({
  target,
}) => {
  const types = await target`
    select a.attrelid::regclass::text as table, a.attname as column, format_type(a.atttypid, a.atttypmod) as type
    from pg_attribute as a
    where (a.attrelid, a.attname) in (('legacy.film'::regclass, 'rating'),
      ('legacy.payment'::regclass, 'method'), ('legacy.payment'::regclass, 'amount'),
      ('legacy."Customer"'::regclass, 'EMail')) order by 1, 2`;
  assert.equal(
    [...types],
    [
      { table: 'legacy."Customer"', column: 'EMail', type: 'character varying(200)' },
      { table: 'legacy.film', column: 'rating', type: 'legacy.rating' },
      { table: 'legacy.payment', column: 'amount', type: 'numeric(8,2)' },
      { table: 'legacy.payment', column: 'method', type: 'legacy.payment_method' },
    ],
  );
});

test('texts arrive as they are, whatever is in them', async ({ source, target }) => {
  const there = await source`
    select film_id as key, title as a, description as b, extras::text as c from film where not withdrawn
    union all select "CustomerId", "Notes", "FirstName", "CountryCode" from "Customer" where not "IsTest"
    order by 1, 2`;
  const here = await target`
    select legacy_film_id as key, title as a, description as b, extras::text as c from public.films
    union all select legacy_customer_id, notes, first_name, country_code from public.customers
    order by 1, 2`;
  assert.is(here.length, there.length);
  const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).toSorted();
  assert.equal(sorted(here), sorted(there));
});

test('an enum that gains a label: what has it arrives', async (context) => {
  const { source, target } = context;
  await source`alter type rating add value 'X' before 'R'`;
  await source`update film set rating = 'X' where film_id in (1, 2, 6)`;
  await again(context);
  const rows = await target`
    select legacy_film_id as film, audience::text from public.films
    where legacy_film_id in (1, 2, 4) order by 1`;
  // no label the view knows; 4 is an NC-17
  assert.equal(
    [...rows],
    [
      { film: 1, audience: null },
      { film: 2, audience: null },
      { film: 4, audience: 'adults' },
    ],
  );
});

test('a label that the view names and that has another name now is refused, with its place', async (context) => {
  const { source } = context;
  await source`alter type rating rename value 'PG' to 'GP'`;
  const error = await errorOf(again(context));
  await source`alter type rating rename value 'GP' to 'PG'`;
  assert.instance(error, PreflightFailed);
  const [problem] = (error as PreflightFailed).problems;
  assert.equal([problem?.file, problem?.line], ['sql/1-catalogue/30_films.sql', 21]);
  assert.match(problem?.message ?? '', 'invalid input value for enum legacy.rating: "PG"');
  await again(context);
});

test('a label that only values have arrives under its new name', async (context) => {
  const { source, target } = context;
  await source`alter type billing.payment_method rename value 'voucher' to 'check'`;
  await addLabel(target);
  await again(context);
  await asFromNothing(context, addLabel);
});

test('a partition that is added, detached or dropped: its rows come and go', async (context) => {
  const { source, target } = context;
  await source.unsafe(`
    create table billing.payment_2024_01 partition of billing.payment
      for values from ('2024-01-01') to ('2024-02-01');
    insert into billing.payment values (5000001000, '2024-01-15', 30, 3.00, 'card');
    create table billing.old_payments (like billing.payment including all);
    insert into billing.old_payments values (4000000000, '2022-12-31', 40, 4.00, 'cash');
    alter table billing.payment attach partition billing.old_payments
      for values from ('2022-12-01') to ('2023-01-01');
    alter table billing.payment detach partition billing.payment_2023_02;
    drop table billing.payment_2023_03`);
  assert.equal(Object.keys(await rowsRead(target, await again(context))), ['payments']);
  const gone = await target`
    select distinct to_char(t.paid_on, 'YYYY-MM') as month from migration.gone as g
    join billing.payments as t on t.id = g.id order by 1`;
  assert.equal([...gone], [{ month: '2023-02' }, { month: '2023-03' }]);
});

test('a partition that is attached again: its rows are back', async (context) => {
  const { source, target } = context;
  await source.unsafe(`
    update billing.payment_2023_02 set amount = amount + 1;
    alter table billing.payment attach partition billing.payment_2023_02
      for values from ('2023-02-01') to ('2023-03-01')`);
  await again(context);
  const [row] = await target`
    select count(*)::integer as rows from migration.gone as g
    join billing.payments as t on t.id = g.id and t.paid_on < '2023-03-01'`;
  assert.equal(row, { rows: 0 });
  await asFromNothing(context, addLabel);
});

test('a view that says something else', async (context) => {
  const { source, target } = context;
  await source.unsafe(`
    create or replace view film_activity as
    select r.film_id, count(r.returned_at) as rentals, max(r.returned_at) as last_rented_at
    from rental as r where r.film_id is not null group by r.film_id`);
  assert.equal(Object.keys(await rowsRead(target, await again(context))), ['films']);
});

test('columns that are added, renamed or get another type', async (context) => {
  const { source } = context;
  await source.unsafe(`
    alter table country add column note text default 'new';
    alter table "Customer" alter column "CountryCode" type text;
    alter table film alter column rental_rate type numeric(8,3);
    alter table film alter column released type integer using released - 1;
    alter table film alter column released type smallint`);
  await again(context);
});

test('a table that moves to the other schema is the same table', async (context) => {
  const { source } = context;
  await source.unsafe(`
    alter table rental set schema billing;
    update billing.rental set returned_at = returned_at + interval '1 minute' where rental_id = 4010;
    grant select on billing.rental to legacy_reader`);
  await again(context);
  await asFromNothing(context, addLabel);
});

for (const [words, what] of [
  [['doctor'], 'looks at both sides'],
  [['plan'], 'says what is to be done'],
  [['status'], 'says how it stands'],
  [['rejects', '--rows'], 'lists rows'],
  [['verify'], 'compares'],
  [['diff'], 'compares files'],
  [['check', 'coverage', '--target'], 'proves that nothing is left out'],
  [['report', '--markdown', '--dictionary'], 'says what files say'],
] as const) {
  test(`runner ${words.join(' ')} ${what}`, async ({ pair, project }) => {
    const ended = await runner(pair, [...words], { root: project.root });
    assert.is(ended.code, 0, `${ended.stdout}\n${ended.stderr}`);
  });
}

test('uninstall leaves nothing but the data: no type, no schema', async ({
  pair,
  target,
  project,
}) => {
  const before = await catalogs(target);
  await succeed(pair, ['uninstall', '--yes'], { root: project.root });
  sameDump(await catalogs(target), before, 'after uninstall');
  const left = await target`
    select nspname from pg_namespace
    where nspname in ('legacy', 'legacy_versions', 'transform', 'merge', 'ids')`;
  assert.equal([...left], []);
});

test.run();

/** What the target needs before it can hold the source's new label. */
function addLabel(target: Sql): Promise<unknown> {
  return target.unsafe(`alter type billing.method add value if not exists 'check'`);
}

/** What the catalogs say of the application's schemas. */
async function catalogs(target: Sql): Promise<Dump> {
  const all: Dump = new Map();
  for (const schema of SCHEMAS) {
    for (const [kind, entries] of await dumpCatalog(target, schema)) {
      all.set(`${schema} ${kind}`, entries);
    }
  }
  return all;
}
