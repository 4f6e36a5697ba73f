// deadline 240
/*
 * The column removal as the application sees it: through the API roles, with the statements that
 * PostgREST sends, at every moment of the four phases, up and down.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Client } from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { testPair, type TestPair } from '../pair.ts';
import { note } from '../runner.ts';
import { connected, dump, installSetup, phase, removedValues } from './removal-pair.ts';

const ROLES = ['anon', 'authenticated', 'service_role'] as const;
const ROWS = 2000;

/** What PostgREST makes of an answer: one line of JSON, whatever the columns are. */
const answer = (query: string) =>
  `with pgrst_source as (${query})
   select null::bigint as total_result_set, pg_catalog.count(_postgrest_t) as page_total,
     coalesce(json_agg(_postgrest_t), '[]')::text as body
   from (select * from pgrst_source) as _postgrest_t`;

/** Statements that ask for every column; all of them return `body`. */
const READS = {
  'GET /profiles': answer('select "public"."profiles".* from "public"."profiles" limit 20'),
  'GET /products': answer('select "public"."products".* from "public"."products" limit 20'),
  'GET /patients?select=*,profiles(*)': answer(`
    select "public"."patients".*, row_to_json("of_1".*) as "profiles"
    from "public"."patients"
    left join lateral (
      select "profiles_1".* from "public"."profiles" as "profiles_1"
      where "profiles_1"."id" = "public"."patients"."profile_id"
    ) as "of_1" on true
    limit 20`),
  'GET /template_products?select=*,products(*)': answer(`
    select "public"."template_products".*, row_to_json("of_1".*) as "products"
    from "public"."template_products"
    left join lateral (
      select "products_1".* from "public"."products" as "products_1"
      where "products_1"."id" = "public"."template_products"."product_id"
    ) as "of_1" on true`),
  'POST /rpc/all_profiles': answer('select * from "public"."all_profiles"()'),
  'POST /rpc/products_of': answer(
    `select "call".* from "public"."products_of"("kind" => 'main') as "call" limit 20`,
  ),
  'POST /rpc/label_of': answer(`
    select "public"."label_of"("products".*) as "label" from "public"."products" limit 20`),
  'GET /app_patient_insurance': answer('select * from "public"."app_patient_insurance" limit 20'),
};

/** Statements that write other columns and return every one. */
const WRITES = {
  'POST /profiles': answer(`
    insert into "public"."profiles" ("profile_type", "first_name", "last_name")
    select "b"."profile_type", "b"."first_name", "b"."last_name"
    from json_to_record('{"profile_type": "client", "first_name": "New", "last_name": "One"}')
      as "b" ("profile_type" "public"."profile_type", "first_name" text, "last_name" text)
    returning "public"."profiles".*`),
  'PATCH /profiles': answer(`
    update "public"."profiles" set "phone" = '1' where "last_name" in ('1', '2')
    returning "public"."profiles".*`),
  'POST /profiles, merge-duplicates': answer(`
    insert into "public"."profiles" ("id", "profile_type", "first_name", "last_name")
    values ('00000000-0000-4000-8000-000000000001', 'client', 'Up', 'Sert')
    on conflict ("id") do update set "first_name" = excluded."first_name"
    returning "public"."profiles".*`),
  'POST /products': answer(`
    insert into "public"."products" ("name", "course_type") values ('new', 'main')
    returning "public"."products".*`),
  'PATCH /products': answer(`
    update "public"."products" set "base_price" = 1 where "name" = '1'
    returning "public"."products".*`),
};

/** Writes of the columns that go. */
const REFUSED = [
  `update profiles set insurance_info = '{}' where last_name = '1'`,
  `update profiles set phone = '1', medical_history = '{}' where last_name = '1'`,
  `insert into profiles (profile_type, first_name, last_name, insurance_info)
   values ('client', 'A', 'B', '{}')`,
  `update products set sku = 'x' where name = '1'`,
  `insert into products (name, course_type, sku) values ('x', 'main', 'x')`,
];

/**
 * What no remedy is known for: a PL/pgSQL function that returns rows of a table looks its columns up, and
 * then waits for the table. A call that is under way while phase 4 commits fails once.
 */
const UNDER_WAY =
  'POST /rpc/all_profiles: 42804 structure of query does not match function result type';

const test = suite('column removal: what the API sees');
let pair: TestPair;
let db: Client;
const clients = new Map<string, Client>();

test.before(async () => {
  pair = await testPair({ name: 'removal_api', source: 'empty', target: 'schema' });
  await installSetup(pair.targetUrl);
  db = await connected(pair.targetUrl);
  await db.query(`
    insert into profiles (profile_type, first_name, last_name, insurance_info, medical_history,
                          legacy_patient_id)
    select 'client', 'A', n::text, jsonb_build_object('n', n), jsonb_build_object('m', n), n
    from generate_series(1, ${ROWS}) as n;
    insert into products (name, course_type, sku)
    select n::text, 'main', 's' || n from generate_series(1, 50) as n;
    insert into patients (profile_id) select id from profiles limit 100;
    insert into templates (name) values ('one');
    insert into template_products (template_id, product_id, quantity)
    select t.id, p.id, 1 from templates as t, products as p;
    create function all_profiles() returns setof profiles language plpgsql stable as
      $$ begin return query select * from public.profiles limit 20; end $$;
    create function products_of(kind course_type) returns setof products language sql stable as
      'select * from public.products where course_type = kind';
    create function label_of(product products) returns text language sql stable as
      'select product.name';
    -- a column privilege beside that of the table, and only such
    revoke select on products from service_role;
    grant select (id, name, sku, course_type, base_price, customization, is_active, metadata,
                  created_at, updated_at, legacy_product_id, legacy_course_id)
      on products to service_role;
    do $do$
    declare name text;
    begin
      foreach name in array array['profiles', 'products', 'patients', 'template_products'] loop
        execute format('create policy api on %I to anon, authenticated
                          using (true) with check (true)', name);
      end loop;
    end $do$`);
  for (const role of ROLES) {
    const client = await connected(pair.targetUrl);
    await client.query(`set role ${role}`);
    clients.set(role, client);
  }
});
test.after(async () => {
  for (const client of clients.values()) await client.end();
  await db.end();
  await pair.drop();
});

for (const number of [1, 2, 3, 4]) {
  test(`before, during and after phase ${number}, its down, and the phase again`, async () => {
    const below = await state();
    await seeAll(`before phase ${number}`);
    await watched(`phase ${number}`, () => phase(pair.targetUrl, 'up'));
    await seeAll(`after phase ${number}`);
    const above = await state();
    await watched(`down of phase ${number}`, () => phase(pair.targetUrl, 'down'));
    assert.equal(await state(), below);
    await seeAll(`after down of phase ${number}`);
    await watched(`phase ${number} again`, () => phase(pair.targetUrl, 'up'));
    assert.equal(await state(), above);
    await seeAll(`after phase ${number} again`);
  });

  test(`after phase ${number}: who may write the columns`, async () => {
    const expected = ['allowed', 'allowed', '42501', '42703'][number - 1];
    for (const role of ROLES) {
      for (const text of REFUSED) {
        assert.is(await tried(role, text), expected, `${role}: ${text}`);
      }
    }
  });
}

test('a client that keeps a bare `select *` prepares it anew once, as after any change of a table', async () => {
  const client = clients.get('authenticated')!;
  const bare = { name: 'bare', text: 'select profiles.* from profiles limit 1' };
  await phase(pair.targetUrl, 'down');
  await client.query(bare);
  await phase(pair.targetUrl, 'up');
  assert.is(await client.query(bare).then(() => 'allowed', codeOf), '0A000');
  await client.query({ ...bare, name: 'bare again' });
});

test('all the way down: the API never missed a column that it had', async () => {
  for (const number of [4, 3, 2, 1]) {
    await watched(`down of phase ${number}`, () => phase(pair.targetUrl, 'down'));
    await seeAll(`after the last down of phase ${number}`);
  }
  for (const role of ROLES) {
    for (const text of REFUSED) assert.is(await tried(role, text), 'allowed', `${role}: ${text}`);
  }
});

test.run();

/** Schema, and the values that go, where they are. */
async function state(): Promise<{ schema: string[]; removed: string[] }> {
  const { rows } = await db.query(
    `select from pg_attribute where attrelid = 'products'::regclass and attname = 'sku'`,
  );
  return { schema: await dump(db), removed: rows.length === 0 ? [] : await removedValues(db) };
}

/** Every role, every statement, once; rows that were inserted go again. */
async function seeAll(when: string): Promise<void> {
  for (const role of ROLES) assert.equal((await round(role)).failed, [], `${role}, ${when}`);
  await tidy();
}

/** Runs `work` while every role repeats its statements; none may fail. */
async function watched(what: string, work: () => Promise<unknown>): Promise<void> {
  const stop = new AbortController();
  const watching = ROLES.map(async (role) => {
    const seen = { failed: new Set<string>(), longest: 0, rounds: 0 };
    do {
      const { failed, longest } = await round(role);
      for (const each of failed) seen.failed.add(each);
      seen.longest = Math.max(seen.longest, longest);
      seen.rounds += 1;
      await sleep(1);
    } while (!stop.signal.aborted);
    return { role, ...seen };
  });
  try {
    await work();
  } finally {
    stop.abort();
  }
  const all = await Promise.all(watching);
  for (const { role, failed } of all) {
    if (what.includes('phase 4')) failed.delete(UNDER_WAY);
    assert.equal([...failed], [], `${role}, ${what}`);
  }
  const longest = Math.max(...all.map((each) => each.longest));
  assert.ok(longest < 5000, `${what}: a statement of the API waited ${longest} ms`);
  const rounds = all.map((each) => each.rounds).join(', ');
  note(`${what}: rounds ${rounds}, longest statement ${longest} ms`);
  await tidy();
}

/** What failed of one role's statements, and the longest of them in milliseconds. */
async function round(role: string): Promise<{ failed: string[]; longest: number }> {
  const client = clients.get(role)!;
  const failed: string[] = [];
  let longest = 0;
  for (const [name, text] of Object.entries({ ...READS, ...WRITES })) {
    const began = Date.now();
    try {
      // prepared and kept, as PostgREST does
      const { rows } = await client.query<{ body: string; page_total: string }>({ name, text });
      if (Number(rows[0]?.page_total) === 0) failed.push(`${name}: no row`);
      const isProfile = name.includes(' /profiles');
      if (isProfile && rows[0]?.body.includes('"legacy_patient_id"') !== true) {
        failed.push(`${name}: without legacy_patient_id`);
      }
    } catch (error) {
      failed.push(`${name}: ${codeOf(error)} ${(error as Error).message}`);
    }
    longest = Math.max(longest, Date.now() - began);
  }
  for (const table of ['profiles', 'products']) {
    const bare = await client.query(`select ${table}.* from ${table} limit 1`).then(
      () => undefined,
      (error: unknown) => `bare ${table}: ${codeOf(error)} ${(error as Error).message}`,
    );
    if (bare !== undefined) failed.push(bare);
  }
  return { failed, longest };
}

async function tidy(): Promise<void> {
  await db.query(`
    delete from profiles where first_name in ('New', 'Up');
    delete from products where name = 'new'`);
}

/** `allowed`, or the SQLSTATE; taken back in any case. */
async function tried(role: string, text: string): Promise<string> {
  const client = clients.get(role)!;
  await client.query('begin');
  try {
    await client.query(text);
    return 'allowed';
  } catch (error) {
    return codeOf(error);
  } finally {
    await client.query('rollback');
  }
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? '';
}
