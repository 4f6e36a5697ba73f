// deadline 240
/* Ids that the source has already (`-- id  source`), and source rows that become several (`-- part`). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lastLine, runner, succeed } from '../runner.ts';
import { again, asFromNothing, type Neutral, onNeutral } from './neutral.ts';

const test = suite<Neutral>('source ids');

onNeutral(test, 'source_ids');

test('a row keeps the uuid it has in the source', async ({ source, target }) => {
  const there = await source`
    select actor_id as id, first_name, last_name, born::text from actor order by 1`;
  const here =
    await target`select id, first_name, last_name, born::text from public.actors order by 1`;
  assert.is(here.length, 150);
  assert.equal([...here], [...there]);
});

test('what refers to it holds this uuid', async ({ target }) => {
  const strange = await target`
    select c.actor_id from public.credits as c
    left join ids.actors as m on m.id = c.actor_id where m.id is null`;
  assert.equal([...strange], []);
});

test('the runner says which row it is: there and back', async ({ pair, source, project }) => {
  const { root } = project;
  const [{ id } = { id: '' }] = await source<
    { id: string }[]
  >`select actor_id as id from actor limit 1`;
  const { rows } = lastLine<{ rows: { entity: string }[] }>(
    await succeed(pair, ['id', id, '--json'], { root }),
  );
  assert.equal(
    rows.map(({ entity }) => entity),
    ['actors'],
  );
});

test('a uuid that changes in the source is another row', async (context) => {
  const { source, target } = context;
  await source.unsafe(`
    update film_actor set actor_id = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa' where actor_id = md5('actor 12')::uuid;
    update actor set actor_id = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa' where actor_id = md5('actor 12')::uuid`);
  await again(context);
  const [row] = await target`
    select last_name from public.actors where id = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa'`;
  assert.equal(row, { last_name: 'Last 12' });
});

const THERE = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';

test('a row with this uuid that the target has already is recognised', async (context) => {
  const { source, target } = context;
  await target`
    insert into public.actors (id, first_name, last_name) values (${THERE}, 'There', 'Before')`;
  await source`insert into actor values (${THERE}, 'From', 'Source', null)`;
  await again(context);
  const [row] = await target`
    select a.first_name, a.last_name, m.adopted from public.actors as a
    join ids.actors as m on m.id = a.id where a.id = ${THERE}`;
  assert.equal(row, { first_name: 'From', last_name: 'Source', adopted: true });
  await asFromNothing(context);
});

test('a row of the source becomes one row of each part it has', async ({ source, target }) => {
  const there = await source`
    select c."CustomerId" as customer, p.kind, p.phone from "Customer" as c
    cross join lateral (values ('home', c."HomePhone"), ('work', c."WorkPhone")) as p (kind, phone)
    where not c."IsTest" and p.phone is not null order by 1, 2`;
  const here = await target`
    select c.legacy_customer_id as customer, p.kind, p.phone from public.contacts as p
    join public.customers as c on c.id = p.customer_id order by 1, 2`;
  assert.ok(here.length > 100);
  assert.equal([...here], [...there]);
});

test('each part is an entity, with its own balance and id map', async ({ target }) => {
  const rows = await target`
    select e.entity,
      (select sum(r.source_rows)::integer from migration.ranges as r where r.entity = e.entity) as source,
      (select sum(r.merged)::integer from migration.ranges as r where r.entity = e.entity) as merged
    from migration.entities as e where e.entity like 'contacts%' order by 1`;
  const [home, work] = await Promise.all([
    target`select from ids.contacts_home`,
    target`select from ids.contacts_work`,
  ]);
  assert.equal(
    [...rows],
    [
      { entity: 'contacts_home', source: 200, merged: home.length },
      { entity: 'contacts_work', source: 200, merged: work.length },
    ],
  );
  assert.ok(home.length > 50 && work.length > 20);
});

test('parts come, change and go by themselves', async (context) => {
  const { source } = context;
  await source.unsafe(`
    update "Customer" set "WorkPhone" = '+1 new' where "CustomerId" = 1;
    update "Customer" set "HomePhone" = null where "CustomerId" = 2;
    update "Customer" set "HomePhone" = "WorkPhone", "WorkPhone" = "HomePhone" where "CustomerId" = 4;
    delete from rental where customer_id = 199;
    delete from "Customer" where "CustomerId" = 199`);
  await again(context);
});

test('a phase with parts is taken back, and comes again', async (context) => {
  const { pair, target, project } = context;
  await succeed(pair, ['down', '2-customers', '--cascade', '--yes'], { root: project.root });
  assert.is((await target`select from public.contacts`).length, 0);
  await again(context);
  await asFromNothing(context);
  const verified = await runner(pair, ['verify', '--json'], { root: project.root });
  assert.is(verified.code, 0, verified.stdout);
});

test('down takes the rows with their own uuids back, and gives back what was there', async ({
  pair,
  target,
  project,
}) => {
  await succeed(pair, ['down', '1-catalogue', '--cascade', '--yes'], { root: project.root });
  const rows = await target`select id, first_name, last_name, born from public.actors`;
  assert.equal([...rows], [{ id: THERE, first_name: 'There', last_name: 'Before', born: null }]);
});

test('verify tells the parts apart', async (context) => {
  const { pair, target, project } = context;
  await again(context);
  const [row] = await target<{ id: string; phone: string }[]>`
    select id, phone from public.contacts where kind = 'work' order by id limit 1`;
  await target`update public.contacts set phone = 'changed' where id = ${row?.id ?? ''}`;
  const ended = await runner(pair, ['verify', 'contacts_work', 'contacts_home', '--json'], {
    root: project.root,
  });
  await target`update public.contacts set phone = ${row?.phone ?? ''} where id = ${row?.id ?? ''}`;
  const { entities } = lastLine<{ entities: { entity: string; rows: { columns: string[] }[] }[] }>(
    ended,
  );
  const found = entities.map(({ entity, rows }) =>
    [entity, ...rows.map(({ columns }) => columns.join())].join(' '),
  );
  assert.equal(found.toSorted(), ['contacts_home', 'contacts_work phone']);
});

test.run();
