// deadline 180
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, preparePair } from '../migrate.ts';
import { NEUTRAL, type TestPair } from '../pair.ts';
import {
  type Dump,
  dumpCatalog,
  dumpRows,
  type Ended,
  lastLine,
  runner,
  sameDump,
  succeed,
  touches,
} from '../runner.ts';

/* A target that an earlier, partial migration has left rows in. Tests in this order. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  before: { rows: Dump; catalog: Dump };
}

/** Rows of the application by what they are; random, as uuid_generate_v4 gave them. */
const ID = {
  country: '6a3c2f0e-91d4-4a57-8f3b-0d9f6a1c7e21',
  parent: 'c1f7a5d2-3e0b-4c86-9a17-52b8e4d6f903',
  child: '0b9d8e7f-6a5c-4b3d-8e1f-f0e1d2c3b4a5',
  customer: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
  plainCustomer: '9c858901-8a57-4791-81fe-4c455b099bc9',
  contact: '5d1c2b7e-0c4f-4b87-9a65-3f1e0d9c8b7a',
  older: 'e4eaaaf2-d142-4b3f-bf12-9b1a7f5d6c01',
  younger: '16fd2706-8baf-433b-82eb-8c7fada847da',
  equal: '7d444840-9dc0-41d1-b245-5ffdce74fad2',
  stranger: 'a8098c1a-f86e-41da-bd1a-00112444be1e',
};

const SCHEMAS = ['public', 'billing'];

const test = suite<Context>('adoption');

test.before(async (context) => {
  const databases = { name: 'adoption', source: 'neutral', target: 'neutral' } as const;
  Object.assign(context, await preparePair(databases, NEUTRAL));
  await plant(context.target);
  context.before = await stateOf(context);
});

test.after(dropPair);

test('rows of the application are adopted: they keep their ids and are counted as such', async ({
  pair,
  target,
}) => {
  const { entities } = lastLine(await run(pair, 'up', '--json'));
  assert.equal(await adopted(target), [
    `contacts_home 2 ${ID.contact}`,
    `countries AT ${ID.country}`,
    `customers 2 ${ID.customer}`,
    `customers 3 ${ID.plainCustomer}`,
    `films 12 ${ID.child}`,
    `films 7 ${ID.parent}`,
    `languages 2 ${ID.equal}`,
    `languages 3 ${ID.older}`,
  ]);
  const counts = entities
    .filter(({ unchanged, updated }) => (unchanged ?? 0) + (updated ?? 0) > 0)
    .map((e) => [
      e.entity,
      e.updated,
      e.unchanged,
      (e.source ?? 0) - (e.inserted ?? 0) - (e.filtered ?? 0),
    ]);
  assert.equal(counts, [
    ['languages', 1, 1, 2],
    ['countries', 1, 0, 1],
    ['films', 2, 0, 2],
    ['customers', 2, 0, 2],
    ['contacts_home', 1, 0, 1],
  ]);
});

test('of two rows with the same key the older one is adopted, the other is as it was', async ({
  target,
  before,
}) => {
  const others = await target<{ row: string }[]>`
    select to_jsonb(t)::text as row from public.languages as t
    where id in (${ID.younger}, ${ID.stranger}) order by 1`;
  const known = before.rows.get('languages') ?? [];
  assert.is(others.length, 2);
  for (const { row } of others) assert.ok(known.includes(row), row);
});

test('children point to the adopted rows', async ({ target }) => {
  const [found] = await target<{ parent: string; country: string }[]>`
    select
      (select sequel_of from public.films where id = ${ID.child}) as parent,
      (select array_agg(distinct country_id::text) from public.customers
       where country_code = 'AT' and legacy_customer_id is not null) as country`;
  assert.equal({ ...found }, { parent: ID.parent, country: [ID.country] });
  // every rental of the adopted film and customer
  const rentals = await target<{ film: boolean; customer: boolean }[]>`
    select film.film_id = ${ID.parent} as film, customer.customer_id = ${ID.customer} as customer
    from public.rentals as film, public.rentals as customer
    where film.legacy_rental_id in (select legacy_id from ids.rentals)
      and film.film_id = (select id from ids.films where legacy_id = 7)
      and customer.customer_id = (select id from ids.customers where legacy_id = 2)`;
  assert.ok(rentals.length > 0);
  assert.ok(rentals.every(({ film, customer }) => film && customer));
});

test('adopted rows hold what the source says, and keep what the view does not supply', async ({
  target,
}) => {
  const [country] = await target`
    select name, created_at::text as created, area::text from public.countries
    where id = ${ID.country}`;
  assert.equal(
    { ...country },
    { name: 'Austria', created: '2020-01-02 03:04:05+00', area: '0.123456789' },
  );
  const [customer] = await target`
    select first_name, card from public.customers where id = ${ID.customer}`;
  assert.equal({ ...customer }, { first_name: 'First 2', card: { plan: 'gold' } });
});

test('old images are taken of the rows that were overwritten, and of no others', async ({
  target,
  before,
}) => {
  const images = await target<{ id: string; entity: string; reason: string }[]>`
    select id::text, entity, reason from migration.before_images`;
  assert.equal(images.map(({ entity, reason, id }) => `${entity} ${reason} ${id}`).toSorted(), [
    `contacts_home adopted ${ID.contact}`,
    `countries adopted ${ID.country}`,
    `customers adopted ${ID.plainCustomer}`,
    `customers adopted ${ID.customer}`,
    `films adopted ${ID.child}`,
    `films adopted ${ID.parent}`,
    `languages adopted ${ID.older}`,
  ]);
  const held = await target<{ row: string }[]>`
    select to_jsonb(json_populate_record(null::public.countries, image))::text as row
    from migration.before_images where entity = 'countries'`;
  assert.equal(
    held.map(({ row }) => row),
    before.rows.get('countries'),
  );
});

test('a second run touches nothing', async ({ pair, target }) => {
  const before = await touches(target, SCHEMAS);
  const { entities } = lastLine(await run(pair, 'up', '--full', '--json'));
  assert.ok(entities.every(({ inserted, updated }) => inserted === 0 && updated === 0));
  sameDump(await touches(target, SCHEMAS), before);
});

test('the rows of the application that stand on ours stop a down', async ({ pair, target }) => {
  const [rental] = await target<{ id: string }[]>`
    insert into public.rentals (film_id, customer_id, rented_at)
    select m.id, ${ID.stranger}, '2024-01-01' from ids.films as m
    where not m.adopted order by m.legacy_id limit 1 returning id::text`;
  const before = await touches(target, SCHEMAS);
  const refused = await runner(pair, ['down', '1-catalogue', '--cascade', '--yes', '--json'], OF);
  sameDump(await touches(target, SCHEMAS), before);
  await target`delete from public.rentals where id = ${rental?.id ?? null}`;
  assert.is(refused.code, 1, refused.stderr);
  const { entities } = lastLine<{
    entities: { entity: string; references: string[] }[];
  }>(refused);
  const found = entities.filter(({ references }) => references.length > 0);
  assert.equal(
    found.map(({ entity, references }) => [entity, references]),
    [['films', ['public.rentals.film_id (1)']]],
  );
});

test('down restores the adopted rows exactly, and the triggers as they were', async (context) => {
  const { pair, before } = context;
  await run(pair, 'down', '1-catalogue', '--cascade', '--yes');
  const now = await stateOf(context);
  sameDump(now.rows, before.rows);
  sameDump(now.catalog, before.catalog);
});

test('and up adopts them again', async ({ pair, target }) => {
  await run(pair, 'up', '1-catalogue');
  assert.is((await adopted(target)).length, 5);
});

const OF = { root: NEUTRAL };

function run(pair: TestPair, ...args: string[]): Promise<Ended> {
  return succeed(pair, args, OF);
}

async function stateOf({ target }: Context): Promise<Context['before']> {
  return {
    rows: await dumpRows(target, { clock: true, root: NEUTRAL }),
    catalog: await dumpCatalog(target),
  };
}

/** Rows and triggers as the application has them. */
async function plant(target: Sql): Promise<void> {
  // what no view supplies, and what lets two rows have the same key
  await target.unsafe(`
    alter table public.languages drop constraint languages_legacy_language_id_key;
    alter table public.countries add column area numeric, add column updated_at timestamptz;
    alter table public.customers add column card jsonb, add column updated_at timestamptz`);
  await target`
    insert into public.countries (id, code, name, area, created_at, updated_at)
    values (${ID.country}, 'AT', 'An old name', 0.123456789, '2020-01-02 03:04:05',
      '2021-01-02 03:04:05')`;
  await target`
    insert into public.films (id, title, sequel_of, rental_rate, legacy_film_id)
    values (${ID.parent}, 'old parent', null, 7, 7), (${ID.child}, 'old child', null, 8, 12)`;
  await target`
    insert into public.customers (id, first_name, last_name, card, legacy_customer_id)
    values (${ID.customer}, 'Old', 'Name', '{"plan": "gold"}', 2),
      (${ID.plainCustomer}, 'Plain', '"quoted" \\ name', null, 3),
      -- a person of the application alone
      (${ID.stranger}, 'Nobody', 'Else', null, null)`;
  await target`
    insert into public.contacts (id, customer_id, kind, phone)
    values (${ID.contact}, ${ID.customer}, 'home', '+1 555 0100')`;
  // 2 is a language whose row is equal to what the view says: nothing of it is to be overwritten
  await target`
    insert into public.languages (id, name, created_at, legacy_language_id)
    values (${ID.younger}, 'the younger', '2024-01-01', 3),
      (${ID.older}, 'the older', '2023-01-01', 3),
      (${ID.equal}, 'Français', '2023-01-01', 2),
      (${ID.stranger}, 'A language of its own', '2023-01-01', null)`;
  // each would spoil a restored row, if it ran
  await target.unsafe(`
    create function public.app_stamp() returns trigger language plpgsql as $$
    begin new.updated_at := clock_timestamp(); return new; end $$;
    create trigger plain before update on public.films
      for each row execute function public.app_stamp();
    create trigger off before update on public.films
      for each row execute function public.app_stamp();
    create trigger always before update on public.customers
      for each row execute function public.app_stamp();
    create trigger replica before update on public.countries
      for each row execute function public.app_stamp();
    alter table public.films disable trigger off;
    alter table public.customers enable always trigger always;
    alter table public.countries enable replica trigger replica`);
}

/** Adopted rows, as `entity key id`. */
async function adopted(target: Sql): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', m.entity, m.key, m.id) as line from (
      select 'languages' as entity, legacy_id::text as key, id, adopted from ids.languages
      union all
      select 'countries', t.code, m.id, m.adopted from ids.countries as m
      left join public.countries as t on migration.key_number(t.code) = m.legacy_id
      union all select 'films', legacy_id::text, id, adopted from ids.films
      union all select 'customers', legacy_id::text, id, adopted from ids.customers
      union all select 'contacts_home', legacy_id::text, id, adopted from ids.contacts_home
    ) as m where m.adopted`;
  return rows.map(({ line }) => line).toSorted();
}

test.run();
