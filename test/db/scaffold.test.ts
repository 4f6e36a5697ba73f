// deadline 300
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { staticProblems } from '../../checks/static/index.ts';
import { keyNumber } from '../../runner/engine/keys.ts';
import { looksSecret } from '../../runner/scaffold/draft.ts';
import { singular, tableLikeness } from '../../runner/scaffold/names.ts';
import { dropPair, migrate } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { lastLine, open, runner, type Scratch, succeed, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('scaffold');

test.before(async (context) => {
  context.pair = await testPair({ name: 'scaffold', source: 'empty', target: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  context.project = tinyProject({
    'sql/1-base/.gitkeep': '',
    'sql/2-more/.gitkeep': '',
    'sql/settings.json': '{"secrets": {"shop_customer": ["pin"]}}\n',
  });
  await context.source.unsafe(`
    create type public.mood as enum ('glad', 'sad');
    create domain public.email as varchar(120) check (value like '%@%');
    create table public.shop_region (id bigint primary key, name char(3), parent_id bigint references shop_region);
    create table public.shop_customer (
      id serial primary key, "firstName" varchar(40) not null, mail varchar(120),
      score integer, rate numeric(12,4), born timestamp, seen timestamptz, "order" smallint,
      active smallint not null default 1, region_id bigint references shop_region,
      tags text[], extra json, pin text, api_token text, nickname text, customer_note text, age varchar(3));
    create table public.shop_member (id integer primary key, mail public.email, mood public.mood);
    create table public.shop_visit (
      id integer primary key, customer_id integer not null references shop_customer,
      region_id bigint references shop_region, at date not null);
    create table public.shop_log (at timestamptz, said text);
    create table public.shop_film (film_id integer primary key, title text not null);
    create table public.shop_cast (film_id integer references shop_film, code text, role text,
      primary key (film_id, code));
    create table public.shop_scene (number integer primary key, film_id integer, code text,
      foreign key (film_id, code) references shop_cast);
    create table public.shop_device (device_id uuid primary key, label text);
    create table public."OldShop" ("ShopNo" integer primary key, "Full Name" text);
    create table public."Odd Shop" (id integer primary key);
    create table public.shop_shelf (shelf_no integer primary key, parent_id integer, film_id smallint,
      device_id uuid, created timestamp not null);
    insert into shop_shelf values (1, null, 1, '00000000-0000-0000-0000-000000000007', '2001-02-03'),
      (2, 1, null, null, '2001-02-04');
    insert into "OldShop" values (3, 'Corner');
    insert into shop_film values (1, 'Up'); insert into shop_cast values (1, 'a', 'Carl');
    insert into shop_scene values (9, 1, 'a'), (10, null, null);
    insert into shop_device values ('00000000-0000-0000-0000-000000000007', 'scanner');
    insert into shop_member values (4, 'a@b.c', 'sad');
    insert into shop_region values (1, 'EU', null), (2, 'AT', 1);
    insert into shop_customer ("firstName", mail, score, rate, born, seen, "order", region_id, tags, extra, age)
      values ('Ada', 'a@b.c', 5, 1.5, '2000-01-02 03:04:05', '2024-05-06 07:08:09+02', 3, 2, '{x,y}', '{"a": 1}', '40'),
             ('Bob', null, null, null, null, null, null, null, null, null, null);
    insert into shop_visit values (7, 1, 2, '2024-05-06'), (8, 2, null, '2024-05-07');
    grant select on all tables in schema public to legacy_reader`);
  await context.target.unsafe(`
    create schema crm authorization postgres;
    create type public.mood_type as enum ('glad', 'sad');
    create type crm.tier as enum ('1', '2', '3');
    create table crm.regions (
      id uuid primary key, legacy_id bigint unique, name varchar(3), parent_id uuid references crm.regions);
    create table crm.customers (
      id uuid primary key, legacy_customer_id integer unique, first_name text not null, mail text, score bigint, rate numeric(10,2), born timestamptz, seen date, "order" crm.tier,
      active boolean not null, region_id uuid references crm.regions, tags text[], extra jsonb, note text,
      age integer, colour text, created_at timestamptz not null default now());
    create table crm.members (id uuid primary key, mail text, mood public.mood_type);
    create table crm.visits (
      id uuid primary key, customer_id uuid not null references crm.customers,
      region_id uuid references crm.regions, legacy_region_id bigint, at timestamptz not null);
    create table crm.films (id uuid primary key, title text);
    create table crm.casts (id uuid primary key, film_id uuid references crm.films, role text);
    create table crm.scenes (id uuid primary key, cast_id uuid references crm.casts, number integer);
    create table crm.devices (id uuid primary key, label text);
    create table crm.shops (id uuid primary key, legacy_id integer unique, full_name text);
    alter table crm.shops owner to postgres;
    create table crm.shelves (
      id uuid primary key, parent_id uuid references crm.shelves, shows_id uuid references crm.films,
      scanner_id uuid references crm.devices, created_at timestamptz not null);
    alter table crm.shelves owner to postgres;
    create table public.plain (id bigint primary key, name text);
    alter table crm.regions owner to postgres; alter table crm.customers owner to postgres;
    alter table crm.visits owner to postgres; alter table crm.films owner to postgres;
    alter table crm.casts owner to postgres; alter table crm.scenes owner to postgres;
    alter table crm.devices owner to postgres; alter table crm.members owner to postgres; alter type crm.tier owner to postgres;
    alter type public.mood_type owner to postgres`);
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

type Answer = { file: string; text: string; undecided: string[]; written: boolean };

async function scaffold({ pair, project }: Context, ...args: string[]): Promise<Answer> {
  return lastLine<Answer>(
    await succeed(pair, ['scaffold', ...args, '--json'], { root: project.root }),
  );
}

async function refused({ pair, project }: Context, ...args: string[]) {
  const ended = await runner(pair, ['scaffold', ...args, '--json'], { root: project.root });
  const { exit, message } = lastLine<{ exit: number; message: string }>(ended);
  return `${exit} ${message}`;
}

test('names that are alike', () => {
  assert.equal(['countries', 'boxes', 'addresses', 'status', 'rentals'].map(singular), [
    'country',
    'box',
    'address',
    'status',
    'rental',
  ]);
  assert.ok(tableLikeness('shop_customer', 'customers') > 0.9);
  assert.ok(tableLikeness('OldCustomer', 'customers') > 0.9);
  assert.ok(tableLikeness('audit_log', 'customers') < 0.5);
  const secrets = ['password', 'passwordHash', 'api_key', 'access_token', 'secret'];
  assert.ok(secrets.every(looksSecret));
  assert.not(['passenger', 'tokens_used', 'secretary'].some(looksSecret));
  assert.is(keyNumber(['f.a', 'f.b'], true), 'migration.key_number(row(f.a, f.b))');
});

test('a table without references, with its own self-reference', async (context) => {
  const { text, file, written } = await scaffold(context, 'shop_region', '--target', 'crm.regions');
  assert.equal([file, written], ['sql/1-base/10_regions.sql', false]);
  assert.is(
    text,
    `-- Regions: one per shop_region.
--
-- target  crm.regions
-- source  shop_region
-- adopt   legacy_id

create view transform.regions as
select
  s.id         as legacy_key,
  s.id         as legacy_id,
  s.name::text as name,
  parent.id    as parent_id,
  case when s.parent_id is not null and parent.id is null then 'regions' end as missing
from legacy.shop_region as s
left join ids.regions as parent on parent.legacy_id = s.parent_id;
`,
  );
  const again = await scaffold(context, 'shop_region', '--target', 'crm.regions', '--write');
  assert.is(again.written, true);
  assert.is(readFileSync(join(context.project.root, again.file), 'utf8'), text);
});

test('casts, enums, similar names, look-ups, secrets, and what is undecided', async (context) => {
  const { text, file, undecided } = await scaffold(
    context,
    ...['shop_customer', '--target', 'crm.customers', '--phase', 'more', '--write'],
  );
  assert.is(file, 'sql/2-more/10_customers.sql');
  for (const line of [
    's.id::integer as legacy_customer_id',
    's."firstName" as first_name',
    's.mail as mail',
    's.score as score',
    's.rate as rate',
    `s.born at time zone 'UTC' as born`,
    `(s.seen at time zone 'UTC')::date as seen`,
    's."order"::text::crm.tier as "order"',
    's.active::integer::boolean as active',
    'region.id as region_id',
    's.tags as tags',
    's.extra::jsonb as extra',
    's.customer_note as note',
    's.age::text::integer as age',
    'left join ids.regions as region on region.legacy_id = s.region_id',
    '-- left to their defaults: created_at',
  ]) {
    assert.ok(text.replaceAll(/ +/g, ' ').includes(line), `${line}\n${text}`);
  }
  assert.not.match(text, 'pin');
  assert.equal(undecided, ['colour', 'api_token', 'nickname']);
  const found = await staticProblems(context.project.root);
  assert.equal(
    found.map(({ rule, message }) => `${rule} ${message.replace(/:? [^:]*:.*/, '')}`),
    ['undecided undecided', 'undecided undecided', 'undecided undecided'],
    found.map(({ file: of, line, message }) => `${of}:${line} ${message}`).join('\n'),
  );
});

test('a domain is the type below it, an enum is cast by its text', async (context) => {
  const { text } = await scaffold(context, 'shop_member', '--target', 'crm.members', '--write');
  assert.match(
    text.replaceAll(/ +/g, ' '),
    's.mail as mail,\n s.mood::text::public.mood_type as mood',
  );
});

test('a reference that cannot be missing rejects; the number behind the last', async (context) => {
  const { text, file } = await scaffold(
    context,
    ...['shop_visit', '--target', 'crm.visits', '--write'],
  );
  assert.is(file, 'sql/2-more/20_visits.sql');
  assert.match(text, '-- reject  orphan_customer  its row of customers is not stored');
  assert.match(text, "case when customer.id is null then 'orphan_customer' end");
  assert.match(text, "case when s.region_id is not null and region.id is null then 'regions' end");
  assert.match(text.replaceAll(/ +/g, ' '), 's.region_id as legacy_region_id');
  assert.match(text.replaceAll(/ +/g, ' '), "s.at::timestamp at time zone 'UTC' as at");
});

test('keys of other names and kinds', async (context) => {
  const drafted = async (from: string, to: string) => {
    const { text } = await scaffold(context, from, '--target', `crm.${to}`, '--write');
    return text.replaceAll(/ +/g, ' ');
  };
  const film = await drafted('shop_film', 'films');
  assert.match(film, '-- key film_id\n');
  assert.match(film, 's.film_id as legacy_key');
  const cast = await drafted('shop_cast', 'casts');
  assert.match(cast, '-- key film_id, code\n');
  assert.match(cast, 'migration.key_number(row(s.film_id, s.code)) as legacy_key');
  assert.match(cast, 'left join ids.films as film on film.legacy_id = s.film_id');
  const scene = await drafted('shop_scene', 'scenes');
  assert.match(scene, 'on cast_row.legacy_id = migration.key_number(row(s.film_id, s.code))');
  assert.match(scene, 'when s.film_id is not null and s.code is not null and cast_row.id is null');
  const device = await drafted('shop_device', 'devices');
  assert.match(device, '-- key device_id\n-- id source\n');
  assert.match(device, 'migration.key_number(s.device_id) as legacy_key,\n s.device_id as id,');
  const { text } = await scaffold(context, 'OldShop', '--target', 'crm.shops', '--write');
  assert.match(text, '-- source  OldShop\n-- key     ShopNo\n');
  assert.match(text, 'o."Full Name"       as full_name\nfrom legacy."OldShop" as o;');
});

test('references that the source does not declare: by the key of the target, and the name of the key', async (context) => {
  const { text, undecided } = await scaffold(
    context,
    ...['shop_shelf', '--target', 'crm.shelves', '--write'],
  );
  assert.match(text, 'left join ids.shelves as parent  on parent.legacy_id = s.parent_id');
  assert.match(text, 'left join ids.films   as shows   on shows.legacy_id = s.film_id');
  assert.match(
    text,
    'left join ids.devices as scanner on scanner.legacy_id = migration.key_number(s.device_id)',
  );
  assert.match(text, "s.created at time zone 'UTC' as created_at");
  assert.equal(undecided, []);
});

test('what it wrote runs, and every row arrives', async ({ pair, target, project }) => {
  await migrate(pair, { root: project.root });
  const [ada, bob] = await target`
    select c.first_name, c.rate, c.born, c.seen::text, c."order"::text, c.active, r.name, c.tags,
      c.extra, c.age
    from crm.customers as c left join crm.regions as r on r.id = c.region_id order by 1`;
  assert.equal(JSON.parse(JSON.stringify(ada)), {
    first_name: 'Ada',
    rate: '1.50',
    born: '2000-01-02T03:04:05.000Z',
    seen: '2024-05-06',
    order: '3',
    active: true,
    name: 'AT',
    tags: ['x', 'y'],
    extra: { a: 1 },
    age: 40,
  });
  assert.is(bob?.['first_name'], 'Bob');
  const visits = await target`
    select v.legacy_region_id::integer as region, c.first_name, p.name as parent
    from crm.visits as v join crm.customers as c on c.id = v.customer_id
    left join crm.regions as r on r.id = v.region_id left join crm.regions as p on p.id = r.parent_id
    order by 2`;
  assert.equal(
    visits.map((row) => ({ ...row })),
    [
      { region: 2, first_name: 'Ada', parent: 'EU' },
      { region: null, first_name: 'Bob', parent: null },
    ],
  );
  const [rest] = await target`
    select
      (select concat_ws(' ', m.mail, m.mood) from crm.members as m) as member,
      (select string_agg(concat_ws(' ', s.number, c.role, f.title), ', ' order by s.number)
       from crm.scenes as s
       left join crm.casts as c on c.id = s.cast_id
       left join crm.films as f on f.id = c.film_id) as scenes,
      (select concat_ws(' ', d.id, d.label) from crm.devices as d) as device,
      (select concat_ws(' ', s.legacy_id, s.full_name) from crm.shops as s) as shop,
      (select concat_ws(' ', s.created_at::date, f.title, d.label, n.created_at::date)
       from crm.shelves as s
       join crm.films as f on f.id = s.shows_id
       join crm.devices as d on d.id = s.scanner_id
       join crm.shelves as n on n.parent_id = s.id) as shelf`;
  assert.equal(
    { ...rest },
    {
      member: 'a@b.c sad',
      scenes: '9 Carl Up, 10',
      device: '00000000-0000-0000-0000-000000000007 scanner',
      shop: '3 Corner',
      shelf: '2001-02-03 Up scanner 2001-02-04',
    },
  );
});

test('what cannot be drafted is refused, with what to do', async (context) => {
  const answers = await Promise.all([
    refused(context, 'shop_log', '--target', 'crm.visits'),
    refused(context, 'shop_region', '--target', 'public.plain'),
    refused(context, 'Odd Shop', '--target', 'crm.shops'),
    refused(context, 'shop_regon', '--target', 'crm.regions'),
    refused(context, 'shop_region', '--target', 'crm.nothing'),
    refused(context, 'shop_region', '--phase', '9'),
    refused(context, 'shop_region'),
    refused(context),
  ]);
  assert.equal(answers, [
    '1 shop_log has no unique key: its rows cannot be told apart',
    '1 public.plain has no column id of type uuid',
    '1 a header cannot name Odd Shop',
    '2 there is no table shop_regon in the source',
    '2 there is no table crm.nothing in the target',
    '2 there is no phase 9',
    '1 sql/1-base/10_regions.sql brings shop_region to crm.regions already',
    '2 say one table of the source',
  ]);
});

test.run();
