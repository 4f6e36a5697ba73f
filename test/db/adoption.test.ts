// deadline 300
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import {
  changeSchema,
  type Dump,
  dumpCatalog,
  dumpRows,
  lastLine,
  open,
  runner,
  sameDump,
  succeed,
  touches,
  up,
} from '../runner.ts';

/* A target that an earlier, partial migration has left rows in. Tests in this order. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  before: { rows: Dump; catalog: Dump };
  /** Keys in the source: a category with a parent, a user who is a patient, another user. */
  keys: { child: number; parent: number; patient: number; user: number; plainUser: number };
}

/** Rows of the application by what they are; random, as uuid_generate_v4 gave them. */
const ID = {
  office: '6a3c2f0e-91d4-4a57-8f3b-0d9f6a1c7e21',
  parent: 'c1f7a5d2-3e0b-4c86-9a17-52b8e4d6f903',
  child: '0b9d8e7f-6a5c-4b3d-8e1f-f0e1d2c3b4a5',
  profile: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
  plainProfile: '9c858901-8a57-4791-81fe-4c455b099bc9',
  older: 'e4eaaaf2-d142-4b3f-bf12-9b1a7f5d6c01',
  younger: '16fd2706-8baf-433b-82eb-8c7fada847da',
  equal: '7d444840-9dc0-41d1-b245-5ffdce74fad2',
  stranger: 'a8098c1a-f86e-41da-bd1a-00112444be1e',
};

const test = suite<Context>('adoption');

test.before(async (context) => {
  context.pair = await testPair({ name: 'adoption', source: 'sample' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await changeSchema(context.pair);
  const [keys] = await context.source<Context['keys'][]>`
    select c.id as child, c.parent_id as parent, p.id as patient, p.user_id as user,
      (select min(u.id) from auth_user as u
       where u.id not in (select user_id from dispatch_patient)) as "plainUser"
    from (select * from dispatch_category where parent_id is not null order by id limit 1) as c,
      (select * from dispatch_patient order by id limit 1) as p`;
  assert.ok(keys);
  context.keys = keys;
  await plant(context.target, keys);
  context.before = {
    rows: await dumpRows(context.target, { clock: true }),
    catalog: await dumpCatalog(context.target),
  };
});

test.after(async ({ pair, source, target }) => {
  await source.end();
  await target.end();
  await pair.drop();
});

test('rows of the application are adopted: they keep their ids and are counted as such', async ({
  pair,
  target,
  keys,
}) => {
  const { entities } = await up(pair);
  assert.equal(
    await adopted(target),
    [
      `categories ${keys.child} ${ID.child}`,
      `categories ${keys.parent} ${ID.parent}`,
      `offices 20 ${ID.office}`,
      `profiles ${keys.plainUser} ${ID.plainProfile}`,
      `profiles ${keys.user} ${ID.profile}`,
      `teams ${await groupId(target, ID.older)} ${ID.older}`,
      `teams ${await groupId(target, ID.equal)} ${ID.equal}`,
    ].toSorted(),
  );
  const counts = entities
    .filter(({ entity }) => ['offices', 'categories', 'profiles', 'teams'].includes(entity))
    .map((e) => [e.entity, e.updated, e.unchanged, (e.source ?? 0) - (e.inserted ?? 0)]);
  assert.equal(counts, [
    ['offices', 1, 0, 1],
    ['profiles', 2, 0, 2],
    ['teams', 1, 1, 2],
    ['categories', 2, 0, 2],
  ]);
});

test('of two rows with the same key the older one is adopted, the other is as it was', async ({
  target,
  before,
}) => {
  const others = await target<{ row: string }[]>`
    select to_jsonb(t)::text as row from public.teams as t
    where id in (${ID.younger}, ${ID.stranger}) order by 1`;
  const known = before.rows.get('teams') ?? [];
  assert.is(others.length, 2);
  for (const { row } of others) assert.ok(known.includes(row), row);
});

test('children point to the adopted rows', async ({ target, keys }) => {
  const [found] = await target<{ parent: string; profile: string; office: string | null }[]>`
    select
      (select parent_id from public.categories where id = ${ID.child}) as parent,
      (select profile_id from public.patients
       where legacy_patient_id = ${keys.patient}) as profile`;
  assert.is(found?.parent, ID.parent);
  assert.is(found?.profile, ID.profile);
  // every patient of the adopted office, and there are some; 20 has the most
  const offices = await target<{ office: string; same: boolean }[]>`
    select assigned_office_id::text as office,
      assigned_office_id = ${ID.office} as same
    from public.patients where (metadata -> 'legacy' ->> 'office_id')::integer = 20`;
  assert.ok(offices.length > 0);
  assert.ok(offices.every(({ same }) => same));
});

test('adopted rows hold what the source says, and keep what the view does not supply', async ({
  target,
}) => {
  const [office] = await target`
    select o.name, o.created_at::text as created, o.legacy_office_id from public.offices as o
    where o.id = ${ID.office}`;
  assert.is.not(office?.['name'], 'An old name');
  assert.is(office?.['created'], '2020-01-02 03:04:05+00');
  const [profile] = await target`
    select phone, insurance_info from public.profiles where id = ${ID.profile}`;
  assert.equal({ ...profile }, { phone: '+1 555 0100', insurance_info: { plan: 'gold' } });
});

test('old images are taken of the rows that were overwritten, and of no others', async ({
  target,
  before,
}) => {
  const images = await target<{ id: string; entity: string; reason: string; same: boolean }[]>`
    select id::text, entity, reason from migration.before_images order by entity, id`;
  assert.equal(
    images.map(({ entity, reason, id }) => `${entity} ${reason} ${id}`),
    [
      `categories adopted ${ID.child}`,
      `categories adopted ${ID.parent}`,
      `offices adopted ${ID.office}`,
      `profiles adopted ${ID.plainProfile}`,
      `profiles adopted ${ID.profile}`,
      `teams adopted ${ID.older}`,
    ].toSorted(),
  );
  const held = await target<{ row: string }[]>`
    select to_jsonb(json_populate_record(null::public.offices, image))::text as row
    from migration.before_images where entity = 'offices'`;
  assert.equal(
    held.map(({ row }) => row),
    before.rows.get('offices'),
  );
});

test('a second run touches nothing', async ({ pair, target }) => {
  const before = await touches(target, ['public', 'ids']);
  const { entities } = await up(pair, '--full');
  assert.ok(entities.every(({ inserted, updated }) => inserted === 0 && updated === 0));
  sameDump(await touches(target, ['public']), new Map([...before].filter(isPublic)));
});

test('the rows of the application that stand on ours stop a down', async ({ pair, target }) => {
  const [office] = await target<{ id: string }[]>`
    select id::text from ids.offices where not adopted order by legacy_id limit 1`;
  assert.ok(office);
  const [link] = await target<{ id: string }[]>`
    insert into public.doctor_offices (doctor_id, office_id)
    values (${ID.stranger.replace('a8', 'b8')}, ${office.id}) returning id::text`;
  const before = await touches(target);
  const refused = await runner(pair, ['down', '1-foundation', '--cascade', '--yes', '--json']);
  sameDump(await touches(target), before);
  await target`delete from public.doctor_offices where id = ${link?.id ?? null}`;
  assert.is(refused.code, 1, refused.stderr);
  const { entities } = lastLine<{
    entities: { entity: string; references: string[] }[];
  }>(refused);
  const found = entities.filter(({ references }) => references.length > 0);
  assert.equal(
    found.map(({ entity, references }) => [entity, references]),
    [['offices', ['public.doctor_offices.office_id (1)']]],
  );
});

test('down restores the adopted rows exactly, and the triggers as they were', async (context) => {
  const { pair, target, before } = context;
  await succeed(pair, ['down', '1-foundation', '--cascade', '--yes']);
  sameDump(await dumpRows(target, { clock: true }), before.rows);
  sameDump(await dumpCatalog(target), before.catalog);
});

test('and up adopts them again', async ({ pair, target }) => {
  await up(pair, '1-foundation');
  assert.is((await adopted(target)).length, 7);
});

/** Rows and triggers as the application has them. */
async function plant(target: Sql, keys: Context['keys']): Promise<void> {
  const { child, parent, user, plainUser } = keys;
  await target`
    insert into public.offices (id, name, city, tax_rate, created_at, updated_at, legacy_office_id)
    values (${ID.office}, 'An old name', 'Elsewhere', 0.123456789, '2020-01-02 03:04:05',
      '2021-01-02 03:04:05', 20)`;
  await target`
    insert into public.categories (id, name, parent_id, display_order, legacy_category_id)
    values (${ID.parent}, 'old parent', null, 7, ${parent}),
      (${ID.child}, 'old child', null, 8, ${child})`;
  await target`
    insert into public.profiles (id, profile_type, first_name, last_name, phone, insurance_info,
      password_hash, patient_suffix, legacy_user_id)
    values (${ID.profile}, 'patient', 'Old', 'Name', '+1 555 0100', '{"plan": "gold"}', 'x', '',
      ${user}),
      (${ID.plainProfile}, 'client', 'Plain', '"quoted" \\ name', null, null, null, null,
      ${plainUser}),
      -- a person of the application alone
      (${ID.stranger.replace('a8', 'b8')}, 'client', 'Nobody', 'Else', null, null, null, null,
      null)`;
  // 4 is a group whose row is equal to what the view says: nothing of it is to be overwritten
  await target`
    insert into public.teams (id, name, description, is_active, created_at, legacy_group_id)
    values (${ID.younger}, 'Doctor', 'the younger', false, '2024-01-01', null),
      (${ID.older}, 'Doctor', 'the older', false, '2023-01-01', null),
      (${ID.equal}, 'Administrator', 'equal', true, '2023-01-01', 4),
      (${ID.stranger}, 'A team of no group', null, true, null, null)`;
  // each would spoil a restored row, if it ran
  await target.unsafe(`
    create function public.app_stamp() returns trigger language plpgsql as $$
    begin new.updated_at := clock_timestamp(); return new; end $$;
    create trigger plain before update on public.offices
      for each row execute function public.app_stamp();
    create trigger off before update on public.offices
      for each row execute function public.app_stamp();
    create trigger always before update on public.categories
      for each row execute function public.app_stamp();
    create trigger replica before update on public.profiles
      for each row execute function public.app_stamp();
    alter table public.offices disable trigger off;
    alter table public.categories enable always trigger always;
    alter table public.profiles enable replica trigger replica;`);
}

async function adopted(target: Sql): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', m.entity, m.legacy_id, m.id) as line from (
      select 'offices' as entity, * from ids.offices
      union all select 'profiles', * from ids.profiles
      union all select 'teams', * from ids.teams
      union all select 'categories', * from ids.categories
    ) as m where m.adopted order by 1`;
  return rows.map(({ line }) => line).toSorted();
}

async function groupId(target: Sql, id: string): Promise<number> {
  const [row] = await target<{ key: number }[]>`
    select legacy_id::integer as key from ids.teams where id = ${id}`;
  return row?.key ?? 0;
}

function isPublic([name]: [string, string[]]): boolean {
  return name.startsWith('public.');
}

test.run();
