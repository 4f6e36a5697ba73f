// deadline 420
/*
 * Source tables whose key is no column `id`: a number of another name, a small one, a text, a uuid, two columns, a
 * name with capitals, and keys that only a part of an index or of a table proves. The project is test/neutral.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errorOf, rowsRead } from '../migrate.ts';
import { dumpRows, lastLine, runner, sameDump, succeed, touches } from '../runner.ts';
import { again, asFromNothing, type Neutral, onNeutral, wholeWrites } from './neutral.ts';

const test = suite<Neutral>('own keys');

/** Rows that were there before us: recognised by a text, a number, and the ids of two others. */
const COUNTRY = '11111111-1111-4111-8111-111111111111';
const CUSTOMER = '22222222-2222-4222-8222-222222222222';

async function plant(target: Sql): Promise<void> {
  await target`
    insert into public.countries (id, code, name, created_at)
    values (${COUNTRY}, 'ÅL', 'the islands', '2020-02-02')`;
  await target`
    insert into public.customers (id, legacy_customer_id, first_name, last_name, email, created_at)
    values (${CUSTOMER}, 5, 'Number', 'Five', 'five@example.org', '2020-02-02')`;
}

onNeutral(test, 'own_keys', plant);

const ACTOR = (n: number): string => `md5('actor ${n}')::uuid`;

test('the number of a key tells keys apart that look alike', async ({ target }) => {
  const [row] = await target<{ kinds: number; numbers: number; negative: number; nothing: null }[]>`
    select count(*)::integer as kinds, count(distinct n)::integer as numbers,
      count(*) filter (where n < 0)::integer as negative,
      migration.key_number(null::text) as nothing
    from (
      select migration.key_number(k) as n
      from unnest(array['a', 'A', ' a', 'a ', '', 'NULL', '1', '01', 'ÅL', 'Å'||'L', '(a)', 'a,b']) as k
      union all select migration.key_number(row('a,b'::text, 'c'::text))
      union all select migration.key_number(row('a'::text, 'b,c'::text))
      union all select migration.key_number(row('a'::text, null::text))
      union all select migration.key_number(row('a'::text, ''::text))
      union all select migration.key_number(${CUSTOMER}::uuid)
    ) as all_keys`;
  // ÅL stands there twice: equal keys have equal numbers
  assert.equal(row, { kinds: 17, numbers: 16, negative: 0, nothing: null });
});

test('a first run stores every row under its key: text', async ({ source, target }) => {
  const there = await source`
    select c.code, c.name, w.code as whole from country as c
    left join country as w on w.code = c.part_of order by c.code collate "C"`;
  const here = await target`
    select c.code, c.name, w.code as whole from public.countries as c
    left join public.countries as w on w.id = c.part_of order by c.code collate "C"`;
  assert.equal([...here], [...there]);
});

test('a small number, in a bigint; what char(n) adds is no part of it', async ({
  source,
  target,
}) => {
  const there = await source`
    select language_id::integer as key, rtrim(name) as name from language order by 1`;
  const here = await target`
    select legacy_language_id::integer as key, name from public.languages order by 1`;
  assert.equal([...here], [...there]);
});

test('two columns, one of them a uuid', async ({ source, target }) => {
  const there = await source`
    select x.film_id, x.actor_id, x.part from film_actor as x
    join film as f on f.film_id = x.film_id and not f.withdrawn
    join actor as a on a.actor_id = x.actor_id order by 1, 2`;
  const here = await target`
    select f.legacy_film_id as film_id, c.actor_id, c.part from public.credits as c
    join public.films as f on f.id = c.film_id order by 1, 2`;
  assert.ok(here.length > 500);
  assert.equal([...here], [...there]);
});

test('two columns of a partitioned table', async ({ source, target }) => {
  const there = await source`
    select p.payment_id::text, p.paid_on::text, p.amount, p.method::text,
      case when r.rental_id <> 2220 and not c."IsTest" then r.rental_id end as rental
    from billing.payment as p
    left join rental as r on r.rental_id = p.rental_id
    left join "Customer" as c on c."CustomerId" = r.customer_id
    where p.amount is not null order by p.payment_id, p.paid_on`;
  const here = await target`
    select p.number::text as payment_id, p.paid_on::text, p.amount, p.method::text,
      r.legacy_rental_id::integer as rental
    from billing.payments as p
    left join public.rentals as r on r.id = p.rental_id order by p.number, p.paid_on`;
  const known = new Set(
    (await target`select legacy_rental_id as key from public.rentals`).map(({ key }) =>
      Number(key),
    ),
  );
  assert.equal(
    [...here],
    there.map((row) => ({ ...row, rental: known.has(row['rental']) ? row['rental'] : null })),
  );
});

test('capitals in names, and a covering key', async ({ source, target }) => {
  const there = await source`
    select r.rental_id, c."CustomerId" as customer, c."LastName" as name, r.rented_at from rental as r
    join "Customer" as c on c."CustomerId" = r.customer_id and not c."IsTest"
    where r.rental_id <> 2220 order by 1`;
  const here = await target`
    select r.legacy_rental_id::integer as rental_id, c.legacy_customer_id as customer,
      c.last_name as name, r.rented_at
    from public.rentals as r join public.customers as c on c.id = r.customer_id order by 1`;
  assert.ok(here.length > 400);
  assert.equal([...here], [...there]);
});

test('rows that were there are recognised, and keep their ids', async ({ target }) => {
  const rows = await target`
    select id, name from public.countries where code = 'ÅL'
    union all select id, last_name from public.customers where legacy_customer_id = 5`;
  assert.equal(
    rows.map(({ id, name }) => [id, name]),
    [
      [COUNTRY, 'Åland'],
      [CUSTOMER, 'Last 5'],
    ],
  );
});

test('a run with nothing to do reads and touches nothing', async (context) => {
  const { target } = context;
  const schemas = ['public', 'billing', 'ids'];
  const before = await touches(target, schemas, { locks: true });
  assert.equal(await rowsRead(target, await again(context)), {});
  sameDump(await touches(target, schemas, { locks: true }), before);
});

test('a run that compares every row has nothing to write', async (context) => {
  assert.equal(await wholeWrites(context), {});
});

/** Changes of rows, by the kind of their key; and which entities may read anything then. */
const CHANGES: [kind: string, statements: string, read: string[]][] = [
  [
    'a number of another name',
    `update film set title = concat('The ', title) where film_id in (2, 150, 299);
     insert into film (film_id, title, language_id, changed_at)
     values (301, 'new', 1, '2024-01-01'), (2000000000, 'far away', 2, '2024-01-02');
     delete from film_actor where film_id = 8;
     update rental set film_id = null where film_id = 8;
     update film set sequel_of = null where sequel_of = 8;
     delete from film where film_id = 8`,
    ['credits', 'films', 'rentals'],
  ],
  [
    'a small number',
    `update language set name = 'Anglais' where language_id = 1;
     insert into language values (-5 + 12, 'Suomi');
     update film set original_language_id = null where original_language_id = 32767;
     delete from language where language_id = 32767`,
    ['films', 'languages'],
  ],
  [
    'a text',
    `update country set name = 'Large A' where code = 'A';
     insert into country values ('NZ', 'New Zealand', null), ('nowhere', 'Now here', 'NZ');
     update country set part_of = 'NZ' where code = '日本';
     update country set code = 'IRL' where code = 'IE';
     update "Customer" set "CountryCode" = 'IRL' where "CountryCode" = 'x,y';
     delete from country where code = 'x,y'`,
    ['contacts_home', 'contacts_work', 'countries', 'customers'],
  ],
  [
    'a uuid',
    `update actor set first_name = 'Anna' where actor_id = ${ACTOR(10)};
     insert into actor values (md5('actor 999')::uuid, 'Late', 'Comer', null);
     delete from film_actor where actor_id = ${ACTOR(20)};
     delete from actor where actor_id = ${ACTOR(20)}`,
    ['actors', 'credits'],
  ],
  [
    'two columns',
    `update film_actor set part = 'another part' where film_id = 1;
     insert into film_actor select 301, actor_id, 'in a new film', 9 from actor
       order by actor_id limit 3;
     update film_actor set actor_id = ${ACTOR(77)}
       where film_id = 15 and actor_id = (select min(actor_id::text)::uuid from film_actor where film_id = 15);
     delete from film_actor where film_id between 30 and 33`,
    ['credits'],
  ],
  [
    'a name with capitals',
    `update "Customer" set "LastName" = 'Other', "WorkPhone" = '+1', "HomePhone" = null
       where "CustomerId" in (1, 9);
     insert into "Customer" ("CustomerId", "FirstName", "LastName", "CountryCode", "HomePhone", "CreatedAt")
     values (201, 'New', 'Customer', 'AT', '+43 1 1', '2024-01-01');
     update rental set customer_id = 201 where customer_id = 11;
     delete from "Customer" where "CustomerId" = 11`,
    ['contacts_home', 'contacts_work', 'customers', 'payments', 'rentals'],
  ],
  [
    'a covering key',
    `update rental set returned_at = rented_at + interval '30 days' where rental_id in (10, 4500);
     insert into rental values (4510, 3, 3, '2024-01-01', null), (7, 4, 4, '2022-12-31', null);
     delete from rental where rental_id = 4490`,
    ['customers', 'films', 'payments', 'rentals'],
  ],
  [
    'two columns of a partitioned table, also from one partition to another',
    `update billing.payment set amount = amount + 1 where payment_id = 5000000003;
     insert into billing.payment values (5000000002, '2023-12-31', 20, 2.00, 'card');
     update billing.payment set paid_on = '2023-11-11' where payment_id = 5000000004;
     delete from billing.payment where payment_id = 5000000005`,
    ['payments'],
  ],
];

for (const [kind, statements, read] of CHANGES) {
  test(`inserted, updated and deleted rows by ${kind}`, async (context) => {
    const { source, target } = context;
    await source.unsafe(`begin; ${statements}; commit`);
    const run = await again(context);
    const entities = Object.keys(await rowsRead(target, run));
    assert.equal(
      entities.filter((entity) => !read.includes(entity)),
      [],
      'others are read, too',
    );
    assert.ok(entities.length > 0);
  });
}

test('after all of them nothing is read again, and every row is as in a migration from nothing', async (context) => {
  assert.equal(await rowsRead(context.target, await again(context)), {});
  await asFromNothing(context, plant);
});

test('a row that is changed and changed back is not written', async (context) => {
  const { source, target } = context;
  await source.unsafe(`
    update film_actor set part = concat(part, '!'); update film_actor set part = rtrim(part, '!') where part <> '!';
    update film_actor set part = null where part = '!';
    update country set name = concat(name, '!'); update country set name = rtrim(name, '!')`);
  const before = await touches(target, ['public'], { locks: true });
  const read = await rowsRead(target, await again(context));
  assert.equal(Object.keys(read), ['countries', 'credits']);
  sameDump(await touches(target, ['public'], { locks: true }), before);
});

test('what a look-up says is followed, whatever the key it is found by', async (context) => {
  const { source, target } = context;
  const credits = () => target`
    select c.id from public.credits as c
    join public.films as f on f.id = c.film_id and f.legacy_film_id = 3`;
  const before = await credits();
  assert.ok(before.length > 0);
  // those of a film that may be shown again, and those of one that may no more
  await source.unsafe(`
    update film set withdrawn = not withdrawn where film_id in (3, 140);
    update "Customer" set "IsTest" = false where "CustomerId" = 67`);
  await again(context);
  assert.equal([...(await credits())], []);
  await source`update film set withdrawn = false where film_id = 3`;
  await again(context);
  assert.is((await credits()).length, before.length);
});

test('a view and a materialized view are looked at by what they say', async (context) => {
  const { source, target } = context;
  await source.unsafe('refresh materialized view billing.customer_totals');
  const refreshed = await rowsRead(target, await again(context));
  assert.ok(Object.keys(refreshed).every((entity) => entity === 'customers'));
  await source`update rental set film_id = 100 where rental_id = 100`;
  const read = await rowsRead(target, await again(context));
  assert.equal(Object.keys(read), ['films', 'rentals']);
  assert.equal(await wholeWrites(context), {});
});

test('an interrupted run goes on where it was, whatever the keys', async (context) => {
  const { source, target } = context;
  await source.unsafe(`
    update rental set returned_at = null where rental_id between 1000 and 3000;
    update billing.payment set amount = amount + 2;
    update film_actor set part = concat('once more ', part)`);
  await target.unsafe(`
    create function public.stop() returns trigger language plpgsql as
      $$ begin raise exception 'stopped' using errcode = '0A000'; end $$;
    create trigger stop before update on billing.payments for each row
      when (new.number = 5000000100) execute function public.stop()`);
  const { message } = await errorOf(again(context, { pieceRows: 50 }));
  assert.match(message, '0A000');
  await target.unsafe(`
    drop trigger stop on billing.payments; drop function public.stop()`);
  const read = await rowsRead(target, await again(context));
  // small entities of a phase are one transaction; the phases before were done
  assert.equal(Object.keys(read), ['payments', 'rentals'], 'only what was not done is read');
  await asFromNothing(context, plant);
});

test('a reject names the row by the columns of its key', async ({ pair, project }) => {
  const { stdout } = await succeed(pair, ['rejects', 'credits', '--rows'], { root: project.root });
  const line = stdout.split('\n').find((each) => each.includes('orphan_film')) ?? '';
  assert.match(line, '999');
  assert.match(line, '229a73a4-4848-f8b4-4647-0e269d70a541');
});

test('the archive holds the rows of a table with a key of its own, and follows it', async (context) => {
  const { source, target } = context;
  await source.unsafe(`
    update billing.price_list set remark = 'new' where price_code = 'P2';
    insert into billing.price_list values ('P''21', 1, '2024-01-01', null);
    delete from billing.price_list where price_code = 'P3'`);
  await again(context, { archive: true });
  const rows = (sql: Sql, table: string) =>
    sql`select price_code, price, valid_from::text, remark from ${sql(table)}
      where price_code <> 'P3' order by price_code collate "C"`;
  assert.equal(
    [...(await rows(target, 'legacy_archive.price_list'))],
    [...(await rows(source, 'billing.price_list'))],
  );
});

test('down gives back what was there before, to the byte', async ({
  pair,
  target,
  project,
  before,
}) => {
  const { root } = project;
  await succeed(pair, ['down', '1-catalogue', '--cascade', '--yes'], { root });
  sameDump(await dumpRows(target, { clock: true, root }), before, 'as before the first run');
});

test('up after down stores the same rows under the same ids', async (context) => {
  await again(context);
  await asFromNothing(context, plant);
});

test('verify finds what is changed, missing and too much, and names the row', async ({
  pair,
  target,
  project,
}) => {
  await target.unsafe(`
    create table public.kept as
    select * from public.credits where id = (select min(id::text)::uuid from public.credits);
    update public.countries set name = 'Changed' where code = 'FR';
    delete from public.credits where id in (select id from public.kept);
    update billing.payments set amount = amount + 0.01 where number = 5000000007`);
  const ended = await runner(pair, ['verify', '--json'], { root: project.root });
  assert.is(ended.code, 1, ended.stderr);
  const { entities } = lastLine<{
    entities: {
      entity: string;
      differences: number;
      rows: { kind: string; columns: string[] }[];
    }[];
  }>(ended);
  const found = entities.flatMap(({ entity, rows }) =>
    rows.map(({ kind, columns }) => [entity, kind, ...columns].join(' ')),
  );
  assert.equal(found.toSorted(), [
    'countries changed name',
    'credits missing',
    'payments changed amount',
  ]);
  await target.unsafe(`
    insert into public.credits select * from public.kept;
    drop table public.kept;
    update public.countries set name = 'France' where code = 'FR';
    update billing.payments set amount = amount - 0.01 where number = 5000000007`);
  const right = await runner(pair, ['verify'], { root: project.root });
  assert.is(right.code, 0, right.stdout);
});

test('all checks find nothing, and the check of the project what was planted', async ({
  pair,
  target,
  project,
}) => {
  const { root } = project;
  // rows that are gone are a warning
  const clean = await runner(pair, ['check'], { root });
  assert.is(clean.code, 0, `${clean.stdout}${clean.stderr}`);
  await target`update billing.payments set amount = amount + 0.01 where number = 5000000007`;
  const found = await runner(pair, ['check', 'spent'], { root });
  assert.is(found.code, 1, `${found.stdout}${found.stderr}`);
  await target`update billing.payments set amount = amount - 0.01 where number = 5000000007`;
});

test.run();
