// deadline 300
/* What changes in tables that views look things up in: tests in this order. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  blockedRunner,
  copyRows,
  dropPair,
  errorOf,
  freshRows,
  liveRows,
  migrate,
  type MigrateOptions,
  rowsRead,
  rowsWritten,
} from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { open, sameDump, tinyProject, waitFor } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

/** Items lie in boxes, boxes on shelves; a shelf has an owner. Memos are about boxes, tasks about memos. */
const SOURCE = `
  create table public.shelf (id integer primary key, owner integer, remark text);
  create table public.box (id integer primary key, shelf_id integer, remark text);
  create table public.item (id integer primary key, box_id integer, name text);
  create table public.memo (id integer primary key, box_id integer, text text);
  create table public.task (id integer primary key, memo_id integer, text text);
  insert into shelf select g, g % 7 from generate_series(101, 140) as g;
  insert into box select g, 101 + g % 40 from generate_series(1001, 1400) as g;
  insert into item
  select g, case when g % 10 <> 0 then 1001 + g % 400 end, format('item %s', g)
  from generate_series(1, 1500) as g;
  insert into item select i.id + 10000, i.box_id, i.name from item as i;
  insert into memo select g, 1001 + g % 400, format('memo %s', g) from generate_series(1, 1500) as g;
  insert into task select g, g, format('task %s', g) from generate_series(100, 120) as g`;

const TARGET = `
  set role postgres;
  create table public.shelves (id uuid primary key, number bigint);
  create table public.boxes (id uuid primary key, number bigint);
  create table public.things (id uuid primary key, name text);
  create table public.places (id uuid primary key, thing_id uuid, shelf_id uuid);
  create table public.notes (id uuid primary key, box_id uuid, shelf bigint, owner integer);
  create table public.tasks (id uuid primary key, text text, memo text);
  reset role`;

const entity = (header: string[], select: string) =>
  [
    '-- Rows.',
    '--',
    ...['adopt  none', ...header].map((line) => `-- ${line}`),
    '',
    select,
    '',
  ].join('\n');

const project = tinyProject({
  'sql/settings.json': '{}',
  'sql/1-rooms/10_shelves.sql': entity(
    ['target  public.shelves', 'source  shelf'],
    `create view transform.shelves as
select s.id as legacy_key, s.id as number
from legacy.shelf as s;`,
  ),
  'sql/1-rooms/20_boxes.sql': entity(
    ['target  public.boxes', 'source  box'],
    `create view transform.boxes as
select b.id as legacy_key, b.id as number
from legacy.box as b;`,
  ),
  'sql/2-things/10_things.sql': entity(
    ['target  public.things', 'source  item', 'commit  batch'],
    `create view transform.things as
select i.id as legacy_key, i.name as name
from legacy.item as i;`,
  ),
  'sql/2-things/20_places.sql': entity(
    [
      'target  public.places',
      'source  item',
      'deletes  remove',
      'commit  batch',
      'filter  no_box  it lies in none',
      'reject  orphan_box  its box is not in the source',
      'reject  orphan_shelf  its shelf is not stored',
      'reject  orphan_thing  the item itself is not stored',
    ],
    `create view transform.places as
select
  i.id     as legacy_key,
  shelf.id as shelf_id,
  thing.id as thing_id,
  case when i.box_id is null then 'no_box' end as filter,
  case
    when b.id is null then 'orphan_box'
    when shelf.id is null then 'orphan_shelf'
    when thing.id is null then 'orphan_thing'
  end      as reject
from legacy.item as i
left join legacy.box  as b     on b.id            = i.box_id
left join ids.shelves as shelf on shelf.legacy_id = b.shelf_id
left join ids.things  as thing on thing.legacy_id = i.id;`,
  ),
  'sql/2-things/30_notes.sql': entity(
    ['target  public.notes', 'source  memo'],
    `create view transform.notes as
select
  m.id    as legacy_key,
  o.id    as box_id,
  s.id    as shelf,
  s.owner as owner,
  case when m.box_id is not null and o.id is null then 'boxes' end as missing
from legacy.memo as m
left join legacy.box   as b on b.id        = m.box_id
left join legacy.shelf as s on s.id        = b.shelf_id
left join ids.boxes    as o on o.legacy_id = m.box_id;`,
  ),
  'sql/2-things/40_tasks.sql': entity(
    ['target  public.tasks', 'source  task'],
    `create view transform.tasks as
select t.id as legacy_key, t.text as text, m.text as memo
from legacy.task as t
left join legacy.memo as m on m.id = t.memo_id;`,
  ),
});

const OF = { root: project.root };

const test = suite<Context>('lookups');

test.before(async (context) => {
  const pair = await testPair({ name: 'lookups', source: 'empty', target: 'empty' });
  const [source, target] = [open(pair.sourceAdminUrl), open(pair.targetAdminUrl)];
  Object.assign(context, { pair, source, target });
  await source.unsafe(SOURCE);
  await target.unsafe(TARGET);
  await migrate(pair, OF);
  // as of many rows: look-ups are followed by single keys, items are in several ranges
  await target`
    update migration.source_tables set width = case source_table when 'item' then 10000 else 50 end
    where source_table in ('item', 'box', 'shelf')`;
  await target`update migration.lookups set version_digest = '', reached = null`;
  await migrate(pair, OF);
  assert.equal(await rowsRead(target, await migrate(pair, OF)), {});
});

test.after(async (context) => {
  project.remove();
  await dropPair(context);
});

test('a changed look-up row leads to the rows that look it up, in one step and in two', async ({
  pair,
  source,
  target,
}) => {
  const { box, shelf } = await busyBox(source);
  await source`
    update box set shelf_id = (
      select max(id) from shelf where id <> ${shelf})
    where id = ${box}`;
  const run = await migrate(pair, OF);
  const read = await rowsRead(target, run);
  const [expected] = await source<{ items: number; memos: number }[]>`
    select
      (select count(*)::integer from item where box_id = ${box}) as items,
      (select count(*)::integer from memo where box_id = ${box}) as memos`;
  assert.is(read['places'], expected?.items);
  assert.is(read['notes'], expected?.memos);
  assert.is(read['things'], undefined);
  assert.is((await rowsWritten(target, run))['places'], `0 ${expected?.items} 0 0`);

  // the owner of the shelf is two steps away
  await source`
    update shelf as p set owner = (
      select max(o.owner) from shelf as o where o.owner is distinct from p.owner)
    where id = (select shelf_id from box where id = ${box})`;
  const next = await rowsRead(target, await migrate(pair, OF));
  const [memos] = await source<{ count: number }[]>`
    select count(*)::integer from memo as p
    join box as i on i.id = p.box_id
    where i.shelf_id = (select shelf_id from box where id = ${box})`;
  assert.is(next['notes'], memos?.count);
  assert.is(next['places'], undefined, 'the view does not use that column');
  await allWritten(pair, target);
});

test('rows added to a look-up table, with rows that look them up: nothing else is read', async ({
  pair,
  source,
  target,
}) => {
  const { box } = await busyBox(source);
  await copyRows(source, 'box', { where: `id = ${box}`, id: '800001' });
  await copyRows(source, 'item', {
    where: `id = (select min(id) from item where box_id = ${box})`,
    id: '800001',
    set: `box_id = 800001`,
  });
  const run = await migrate(pair, OF);
  assert.is((await rowsRead(target, run))['places'], 1);
  assert.is((await rowsWritten(target, run))['places'], '1 0 0 0');
});

test('a look-up row that is deleted, and the same once more after it came back', async ({
  pair,
  source,
  target,
}) => {
  await source`create table lost as select * from box where id = 800001`;
  await source`delete from box where id = 800001`;
  const run = await migrate(pair, OF);
  assert.is((await rowsWritten(target, run))['places'], '0 0 0 1');
  const rejects = await target`
    select reason from migration.rejects
    where entity = 'places' and legacy_id = 800001 and resolved_run is null`;
  assert.equal([...rejects], [{ reason: 'orphan_box' }]);
  await source`insert into box select * from lost`;
  await source`drop table lost`;
  await migrate(pair, OF);
  await allWritten(pair, target);
});

test('a look-up row that changes while the run reads, and changes back: read again', async ({
  pair,
  source,
  target,
}) => {
  const { box, shelf } = await busyBox(source);
  await source`update item set name = 'seen with another shelf'
    where box_id = ${box}`;
  await during(pair, target, async () => {
    await source`
      update box set shelf_id = (
        select min(id) from shelf where id <> ${shelf})
      where id = ${box}`;
  });
  await source`update box set shelf_id = ${shelf} where id = ${box}`;
  const read = await rowsRead(target, await migrate(pair, OF));
  const [items] = await source<{ all: number; mine: number }[]>`
    select count(*)::integer as all,
      (count(*) filter (where box_id = ${box}))::integer as mine
    from item where box_id is not null`;
  assert.ok((read['places'] ?? 0) >= (items?.mine ?? 0));
  await allWritten(pair, target);
  assert.equal(await rowsRead(target, await migrate(pair, OF)), {});
});

test('a look-up that changed back after a run that failed half way: every range is right', async ({
  pair,
  source,
  target,
}) => {
  const { box, shelf } = await busyBox(source);
  const before = await liveRows(target, project.root);
  await source`
    update box set shelf_id = (
      select min(id) from shelf where id <> ${shelf})
    where id = ${box}`;
  // items have copies in another range: the first is written, the second fails
  await target.unsafe(`
    create function public.fail() returns trigger language plpgsql as $$
    begin
      if exists (select from ids.things as f where f.id = new.thing_id and f.legacy_id > 10000) then
        raise exception 'planted';
      end if;
      return new;
    end $$;
    create trigger fail before insert or update on public.places
      for each row execute function public.fail()`);
  const error = await errorOf(migrate(pair, { ...OF, jobs: 1, pieceRows: 100 }));
  assert.match(error.message, 'planted');
  await target.unsafe('drop function public.fail() cascade');
  const seen = await target`select distinct seen from migration.ranges where entity = 'places'`;
  assert.is(seen.length, 2);
  await source`update box set shelf_id = ${shelf} where id = ${box}`;
  await migrate(pair, OF);
  sameDump(await liveRows(target, project.root), before);
});

test('a look-up that changed for a run that was killed, and changed back: every range is right', async ({
  pair,
  source,
  target,
}) => {
  const { box, shelf } = await busyBox(source);
  await source`update item set name = 'read by a run that is killed'
    where box_id = ${box}`;
  // items have copies in another range: the first is committed, in the second the run is killed
  await target.unsafe(`
    create function public.halt() returns trigger language plpgsql as $$
    begin
      if exists (select from ids.things as f where f.id = new.thing_id and f.legacy_id > 10000) then
        perform pg_advisory_xact_lock(1, 1);
      end if;
      return new;
    end $$;
    create trigger halt before insert or update on public.places
      for each row execute function public.halt()`);
  const application = open(pair.targetAdminUrl);
  await application`select pg_advisory_lock(1, 1)`;
  await application`begin`;
  await application`lock table migration.control in access exclusive mode`;
  const killed = errorOf(migrate(pair, { ...OF, jobs: 1, pieceRows: 100 }));
  // it has taken the sums and waits in the first phase
  await blockedRunner(target);
  await source`
    update box set shelf_id = (
      select min(id) from shelf where id <> ${shelf})
    where id = ${box}`;
  await application`commit`;
  await waitFor(
    'the run writes the second range',
    () => target`
      select from pg_stat_activity
      where datname = current_database() and application_name like 'runner%'
        and (wait_event_type, wait_event) = ('Lock', 'advisory')`,
  );
  await target`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name like 'runner%'`;
  assert.match((await killed).message, 'connection');
  await application.end();
  await target.unsafe('drop function public.halt() cascade');
  const committed = await target`
    select range::integer from migration.ranges
    where entity = 'places' and run = (select max(run) from migration.runs)`;
  assert.equal([...committed], [{ range: 0 }]);
  await source`update box set shelf_id = ${shelf} where id = ${box}`;
  await migrate(pair, OF);
  await allWritten(pair, target);
});

test('look-up rows that go while the run reads, or come, or change, and are back in their range', async ({
  pair,
  source,
  target,
}) => {
  const { box, shelf } = await busyBox(source);
  const addBox = (id: number) => copyRows(source, 'box', { where: `id = ${box}`, id: `${id}` });
  // the last one lies in the same range of its content as a row of the range before
  await target`
    update migration.source_tables set width = 101 where source_table = 'box'`;
  const [going, coming, between] = [900000, 900500, 101 * 9001];
  await addBox(going);
  await addBox(between);
  for (const id of [going, coming, between]) {
    await copyRows(source, 'item', {
      where: `id = (select min(id) from item where box_id = ${box})`,
      id: `${id}`,
      set: `box_id = ${id}`,
    });
  }
  await target`update migration.lookups set version_digest = '', reached = null`;
  await migrate(pair, OF);
  const rejects = async () => {
    const rows = await target<{ id: number; reason: string }[]>`
      select legacy_id::integer as id, reason from migration.rejects
      where entity = 'places' and legacy_id >= ${going} and resolved_run is null order by 1`;
    return rows.map(({ id, reason }) => `${id} ${reason}`);
  };
  assert.equal(await rejects(), [`${coming} orphan_box`]);

  await source`update item set name = 'read again' where id in (${coming}, ${between})`;
  await during(pair, target, async () => {
    await source`delete from box where id = ${going}`;
    await addBox(coming);
    await source`
      update box set shelf_id = (
        select min(id) from shelf where id <> ${shelf})
      where id = ${between}`;
  });
  assert.equal(await rejects(), []);
  await source`delete from box where id = ${coming}`;
  await source`update box set shelf_id = ${shelf} where id = ${between}`;
  await migrate(pair, OF);
  assert.equal(await rejects(), [`${going} orphan_box`, `${coming} orphan_box`]);
  const places = await target<{ shelf: number }[]>`
    select s.legacy_id::integer as shelf
    from ids.places as m
    join public.places as p on p.id = m.id
    join ids.shelves as s on s.id = p.shelf_id
    where m.legacy_id = ${between}`;
  assert.equal([...places], [{ shelf }]);
  await addBox(going);
  await addBox(coming);
  await migrate(pair, OF);
  await allWritten(pair, target);
});

test('a look-up that is emptied, and filled again as it was', async ({ pair, source, target }) => {
  const before = await liveRows(target, project.root);
  await source`create table lost as select * from memo`;
  await source`truncate memo`;
  const some = { ...OF, tolerance: 1, removeMany: true };
  await migrate(pair, some);
  await source`insert into memo select * from lost`;
  await source`drop table lost`;
  await migrate(pair, some);
  sameDump(await liveRows(target, project.root), before);
});

test('a range that is summed in two steps is not taken for a changed one', async ({
  pair,
  source,
  target,
}) => {
  const { box } = await busyBox(source);
  await target`
    update migration.source_tables set width = 50 where source_table = 'box'`;
  // a step is 200 ranges, from the first key on
  const [step] = await source<{ end: number }[]>`
    select min(id)::integer + 10000 as end from box`;
  assert.ok(step !== undefined && step.end % 50 > 0);
  for (const id of [step.end - 1, step.end]) {
    await copyRows(source, 'box', { where: `id = ${box}`, id: `${id}` });
  }
  await source`update item set name = 'to be read' where box_id = ${box}`;
  await migrate(pair, OF);
  const unsettled = await target`
    select source_table from migration.lookups where entity = 'places' and not settled`;
  assert.equal([...unsettled], []);
});

test('a row that came while the run read, and has gone before the next one, is listed as gone', async ({
  pair,
  source,
  target,
}) => {
  await during(
    pair,
    target,
    async () => {
      await copyRows(source, 'task', {
        where: `id = ${await oneTask(target)}`,
        id: '1',
      });
    },
    { full: true },
  );
  assert.is((await target`select from ids.tasks where legacy_id = 1`).length, 1);
  await source`delete from task where id = 1`;
  await migrate(pair, OF);
  const gone = await target`
    select reason from migration.gone where entity = 'tasks' and legacy_id = 1`;
  assert.equal([...gone], [{ reason: 'deleted' }]);
  await asNew(pair, target);
});

test('what looks newer is only a hint: with a wrong one the same rows are read', async ({
  pair,
  source,
  target,
}) => {
  const keys = await source<{ id: number }[]>`
    select id from item where box_id is not null order by id limit 3`;
  const change = () => source`
    update item set name = concat(name, '!') where id = any (${keys.map(({ id }) => id)})`;
  await change();
  const hinted = await rowsRead(target, await migrate(pair, OF));
  const newer = await target<{ id: number }[]>`
    select id::integer from migration.newer where source_table = 'item' order by id`;
  assert.equal([...newer], [...keys]);
  await target`update migration.entities set horizon = horizon + 1000000`;
  await change();
  const listed = await rowsRead(target, await migrate(pair, OF));
  assert.is((await target`select from migration.newer`).length, 0);
  assert.is(hinted['things'], 3);
  assert.equal(listed, hinted);
});

test.run();

/** Runs `up`; when it has taken the sums and waits in the first phase, `change` happens. */
async function during(
  pair: TestPair,
  target: Sql,
  change: () => Promise<unknown>,
  options: MigrateOptions = {},
): Promise<void> {
  const application = open(pair.targetAdminUrl);
  await application`begin`;
  await application`lock table migration.control in access exclusive mode`;
  const running = migrate(pair, { ...OF, ...options });
  await blockedRunner(target);
  await change();
  await application`commit`;
  await application.end();
  await running;
}

/** A box with items and memos, and its shelf. */
async function busyBox(source: Sql): Promise<{ box: number; shelf: number }> {
  const [row] = await source<{ box: number; shelf: number }[]>`
    select b.id as box, b.shelf_id as shelf from box as b
    where exists (select from item as i where i.box_id = b.id)
      and exists (select from memo as m where m.box_id = b.id)
    order by b.id limit 1`;
  assert.ok(row);
  return row;
}

async function oneTask(target: Sql): Promise<number> {
  const [row] = await target<{ id: number }[]>`
    select min(legacy_id)::integer as id from ids.tasks`;
  return row?.id ?? 0;
}

/** A run that compares every row has nothing left to write. */
async function allWritten(pair: TestPair, target: Sql): Promise<void> {
  assert.equal(await rowsWritten(target, await migrate(pair, { ...OF, full: true })), {});
}

async function asNew(pair: TestPair, target: Sql): Promise<void> {
  sameDump(
    await liveRows(target, project.root),
    await freshRows(pair, (fresh) => fresh.unsafe(TARGET), OF),
    'as a new migration',
  );
}
