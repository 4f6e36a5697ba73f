/* The same migration again and again while source and target change: tests in this order. */
import type { Sql } from 'postgres';
import type { uvu } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import {
  copyRows,
  dropPair,
  errorOf,
  freshRows,
  liveRows,
  migrate,
  preparePair,
  rowsRead,
  rowsWritten,
} from '../migrate.ts';
import type { Majors, TestPair } from '../pair.ts';
import {
  type Dump,
  dumpRows,
  lastLine,
  ROOT,
  runner,
  sameDump,
  scratch,
  succeed,
  touches,
} from '../runner.ts';

export interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  before: Dump;
}

/** Id of the office that the application has before us. */
const OFFICE = '6a3c2f0e-91d4-4a57-8f3b-0d9f6a1c7e21';

const entities = readCatalog(ROOT)
  .phases.slice(0, 3)
  .flatMap((phase) => phase.entities);

/** Adds the tests to a suite; source and target are of these releases. */
export function incrementalTests(test: uvu.Test<Context>, majors: Majors): void {
  test.before(async (context) => {
    Object.assign(context, await preparePair({ name: 'incremental', source: 'sample', ...majors }));
    // enough for reading by keys: 5,000 source rows
    await copyRows(context.source, 'dispatch_file', {
      where: 'id < 6000',
      id: 'id + 10000',
      set: `uid = md5(id::text)::uuid`,
    });
    await plantOffice(context.target);
    context.before = await dumpRows(context.target, { clock: true });
    await migrate(context.pair);
  });

  test.after(dropPair);

  test('insert, update, delete: only changed keys are read, all else is as in a new migration', async ({
    pair,
    source,
    target,
  }) => {
    const tasks = await mappedKeys(target, 'tasks', 12);
    const files = await mappedKeys(target, 'files', 9);
    await copyRows(source, 'dispatch_task', {
      where: `id in (${tasks.slice(0, 5).join()})`,
      id: 'id + 100000',
    });
    await copyRows(source, 'dispatch_file', {
      where: `id in (${files.slice(0, 3).join()})`,
      id: 'id + 100000',
      set: `uid = md5(concat('new', id))::uuid`,
    });
    await source`update dispatch_task set text = 'new' where id = any (${tasks.slice(0, 7)})`;
    await source`delete from dispatch_task where id = any (${tasks.slice(8)})`;
    await source`update dispatch_file set name = 'new' where id = any (${files.slice(0, 6)})`;
    await source`delete from dispatch_file where id = any (${files.slice(7)})`;

    const run = await migrate(pair);
    const changed = files.slice(0, 6).concat(files.slice(0, 3).map((key) => key + 100_000));
    assert.equal(await rowsRead(target, run), {
      ...(await mappedAmong(
        target,
        ['case_files', 'files', 'message_attachments', 'order_files'],
        changed,
      )),
      tasks: 12,
    });
    const { tasks: ofTasks, files: ofFiles } = await rowsWritten(target, run);
    assert.equal([ofTasks, ofFiles], ['5 7 0 4', '3 6 0 2']);
    sameDump(await liveRows(target), await freshRows(pair, plantOffice), 'as a new migration');
  });

  test('the next run reads and touches nothing', async ({ pair, target }) => {
    const before = await touches(target, ['public', 'ids'], { locks: true });
    const run = await migrate(pair);
    assert.equal(await rowsRead(target, run), {});
    sameDump(await touches(target, ['public', 'ids'], { locks: true }), before);
  });

  test('a value that changed and changed back: the row is read once, nothing is touched', async ({
    pair,
    source,
    target,
  }) => {
    const keys = await mappedKeys(target, 'tasks', 5);
    await source`create table before_change as select id, text from dispatch_task`;
    await source`update dispatch_task set text = 'B' where id = any (${keys})`;
    await source`
      update dispatch_task as t set text = b.text from before_change as b
      where b.id = t.id and t.id = any (${keys})`;
    await source`drop table before_change`;
    const before = await touches(target, ['public'], { locks: true });
    assert.equal(await rowsRead(target, await migrate(pair)), { tasks: 5 });
    sameDump(await touches(target, ['public'], { locks: true }), before);
    assert.equal(await rowsRead(target, await migrate(pair)), {});
  });

  test('two rows changed at once are seen, also where keys and versions differ by the same bits', async ({
    pair,
    source,
    target,
  }) => {
    await source`update dispatch_task set jaw = jaw`;
    await migrate(pair);
    // rejected rows are seen and not counted as read
    const stored = await mappedKeys(target, 'tasks');
    // with (key, version) folded by xor, these two would change places and every sum stay the same
    const [changed] = await source<{ keys: number[] }[]>`
      with this as (select txid_current() % 4294967296 as version),
      twins as (
        select a.id as one, b.id as other
        from this, dispatch_task as a
        join dispatch_task as b on b.id::bigint = a.id::bigint # (
          (select version from this) # a.xmin::text::bigint)
        where a.id = any (${stored}) and b.id = any (${stored}) order by a.id limit 1),
      written as (
        update dispatch_task set text = 'twin' from twins
        where id in (one, other) returning id)
      select array_agg(id) as keys from written`;
    assert.is(changed?.keys.length, 2);
    assert.equal(await rowsRead(target, await migrate(pair)), { tasks: 2 });
    assert.equal(await textsOf(target, changed?.keys ?? []), ['twin', 'twin']);
  });

  test('of a changed look-up table every row is compared, those it changes are written', async ({
    pair,
    source,
    target,
  }) => {
    const [template] = await source<{ id: number }[]>`
      update dispatch_template set task_name = 'looked up' where id = (
        select template_id from dispatch_task where id = ${await oneKey(target, 'tasks')})
      returning id`;
    const run = await migrate(pair);
    assert.is((await rowsRead(target, run))['tasks'], await rowsOf(target, 'tasks'));
    assert.is((await rowsRead(target, run))['files'], undefined);
    const [of] = await target<{ count: number }[]>`
      select count(*)::integer as count from public.tasks
      where template_id = (select id from ids.templates where legacy_id = ${template?.id ?? 0})
        and legacy_task_id in (select legacy_id from ids.tasks) and not exists (
          select from migration.gone as g where g.entity = 'tasks' and g.id = tasks.id)`;
    const { tasks, templates } = await rowsWritten(target, run);
    assert.match(tasks ?? '', new RegExp(`^0 ${of?.count} 0 `));
    assert.is(templates, '0 1 0 0');
    const [task] = await target`
      select template_name from public.tasks where id = (
        select id from ids.tasks where legacy_id = ${await oneKey(target, 'tasks')})`;
    assert.is(task?.['template_name'], 'looked up');
  });

  test('of a changed file every row is compared, and back again', async ({ pair, target }) => {
    const copy = scratch();
    copy.edit('sql/3-operations/60_tasks.sql', (text) =>
      text.replace("jsonb_build_object('legacy',", "jsonb_build_object('edited', true, 'legacy',"),
    );
    const all = await rowsOf(target, 'tasks');
    const before = await liveRows(target);
    const run = await migrate(pair, { root: copy.root });
    assert.equal(await rowsRead(target, run), { tasks: all });
    const [row] = await target<{ count: number }[]>`
      select count(*)::integer as count from public.tasks where metadata ? 'edited'`;
    assert.is(row?.count, all);
    copy.remove();
    assert.equal(await rowsRead(target, await migrate(pair)), { tasks: all });
    sameDump(await liveRows(target), before);
  });

  test('what led nowhere and what was rejected is read again when the id map has grown', async ({
    pair,
    source,
    target,
  }) => {
    const [known] = await mappedKeys(target, 'tasks', 1);
    const copied = { where: `id = ${known}` };
    await copyRows(source, 'dispatch_task', { ...copied, id: '300001', set: 'actor_id = 900001' });
    await copyRows(source, 'dispatch_task', {
      ...copied,
      id: '300002',
      set: 'instruction_id = 900002',
    });
    await migrate(pair);
    const state = () => target`
      select
        (select missing from ids.tasks where legacy_id = 300001) as missing,
        (select assigned_to is null from public.tasks where legacy_task_id = 300001) as nobody,
        (select reason from migration.rejects
         where entity = 'tasks' and legacy_id = 300002 and resolved_run is null) as reason,
        (select count(*)::integer from public.tasks where legacy_task_id = 300002) as stored`;
    assert.equal(
      [...(await state())],
      [{ missing: 'profiles', nobody: true, reason: 'orphan_order', stored: 0 }],
    );
    const [again] = await target<{ missing: number; open: number }[]>`
      select (select count(*)::integer from ids.tasks as m
          where string_to_array(missing, ',') && '{profiles,orders}'
            and not exists (select from migration.gone as g
              where g.entity = 'tasks' and g.legacy_id = m.legacy_id)) as missing,
        (select count(*)::integer from migration.rejects
          where entity = 'tasks' and resolved_run is null) as open`;
    assert.ok((again?.open ?? 0) > 1, 'some other rejects stay');

    await copyRows(source, 'auth_user', {
      where: 'id = (select max(id) from auth_user)',
      id: '900001',
      set: `username = 'later'`,
    });
    await copyRows(source, 'dispatch_instruction', {
      where: `id = (select instruction_id from dispatch_task where id = ${known})`,
      id: '900002',
    });
    const run = await migrate(pair);
    assert.is((await rowsRead(target, run))['tasks'], (again?.missing ?? 0) + 1);
    assert.is((await rowsWritten(target, run))['tasks']?.slice(0, 4), '1 1 ');
    assert.equal([...(await state())], [{ missing: null, nobody: false, reason: null, stored: 1 }]);
    assert.equal(await rowsRead(target, await migrate(pair)), {}, 'once');
  });

  test('--full reads every row and changes none', async ({ pair, target }) => {
    const before = await touches(target);
    const read = await rowsRead(target, await migrate(pair, { full: true }));
    for (const { name } of entities) {
      assert.is(read[name] ?? 0, await rowsOf(target, name), name);
    }
    sameDump(await touches(target), before);
  });

  test('gone rows that are kept are listed, by status and by check, and may come back', async ({
    pair,
    source,
    target,
  }) => {
    const [key = 0] = await mappedKeys(target, 'tasks', 1);
    const id = await idOf(target, 'tasks', key);
    await source`create table lost as select * from dispatch_task where id = ${key}`;
    await source`delete from dispatch_task where id = ${key}`;
    await migrate(pair);
    const listed = await target`
      select legacy_id::integer as key, id::text, reason from migration.gone
      where entity = 'tasks' and legacy_id = ${key}`;
    assert.equal([...listed], [{ key, id, reason: 'deleted' }]);
    assert.is(await rowOf(target, 'tasks', id), 1);

    const status = lastLine(await succeed(pair, ['status', '--json']));
    assert.is(status.entities.find(({ entity }) => entity === 'tasks')?.gone, 5);
    const check = await runner(pair, ['check', 'gone', '--json']);
    assert.match(check.stdout, /entity_name=tasks reason=deleted row_count=5/);

    await source`insert into dispatch_task select * from lost`;
    await source`drop table lost`;
    const run = await migrate(pair);
    assert.is((await rowsRead(target, run))['tasks'], 1);
    const left = await target`
      select from migration.gone where entity = 'tasks' and legacy_id = ${key}`;
    assert.is(left.length, 0);
    assert.is(await idOf(target, 'tasks', key), id);
  });

  test('gone rows of a link table go; the same pair under another id is there again', async ({
    pair,
    source,
    target,
  }) => {
    const keys = await mappedKeys(target, 'template_view_roles', 5);
    const removed = await Promise.all(keys.map((key) => idOf(target, 'template_view_roles', key)));
    const pairs = () => target<{ pair: string }[]>`
      select concat(template_id, ' ', role_id) as pair from public.template_view_roles
      order by 1`;
    const [before, count] = [await pairs(), keys.length];
    await source`create table link as
      select * from dispatch_template_view_roles where id = any (${keys.slice(0, 2)})`;
    await source`delete from dispatch_template_view_roles where id = any (${keys})`;
    await source`update link set id = id + 50000`;
    await source`insert into dispatch_template_view_roles select * from link`;
    await source`drop table link`;
    const run = await migrate(pair);
    assert.is((await rowsWritten(target, run))['template_view_roles'], `2 0 0 ${count}`);
    const after = await pairs();
    assert.is(after.length, before.length - 3);
    const [old] = await target<{ count: number }[]>`
      select count(*)::integer as count from public.template_view_roles
      where id = any (${removed}::uuid[])`;
    assert.is(old?.count, 0);
    assert.ok(after.every((row) => before.some((other) => other['pair'] === row['pair'])));
  });

  test('more than 5 % of a link table is not removed unless that is wanted', async ({
    pair,
    source,
    target,
  }) => {
    await source`
      delete from dispatch_template_edit_roles where id % 10 = 3`;
    const before = await touches(target, ['public', 'ids']);
    const error = await errorOf(migrate(pair));
    assert.is(error.name, 'PhaseFailed');
    assert.match(error.message, /template_edit_roles: \d+ of \d+ rows are gone .*--yes/);
    sameDump(await touches(target, ['public', 'ids']), before);
    const run = await migrate(pair, { removeMany: true });
    assert.match((await rowsWritten(target, run))['template_edit_roles'] ?? '', /^0 0 0 \d\d/);
    sameDump(await liveRows(target), await freshRows(pair, plantOffice), 'as a new migration');
  });

  test('a restored source, with new versions everywhere, changes no row', async ({
    pair,
    source,
    target,
  }) => {
    await source`
      do $$ declare name text; begin
        for name in select format('%I', relname) from pg_class
          where relnamespace = 'public'::regnamespace and relkind = 'r'
        loop execute format('update %s set id = id', name); end loop;
      end $$`;
    const before = await touches(target);
    const run = await migrate(pair);
    assert.is((await rowsRead(target, run))['tasks'], await rowsOf(target, 'tasks'));
    assert.equal(
      Object.entries(await rowsWritten(target, run)).filter(
        ([, line]) => !line.startsWith('0 0 0'),
      ),
      [],
    );
    sameDump(await touches(target), before);
    assert.equal(await rowsRead(target, await migrate(pair)), {});
  });

  test('a conflict: the source wins, with a before-image; alone the application is left alone', async ({
    pair,
    source,
    target,
  }) => {
    const [changed = 0, deleted = 0, untouched = 0] = await mappedKeys(target, 'tasks', 3);
    const [changedId, deletedId] = [
      await idOf(target, 'tasks', changed),
      await idOf(target, 'tasks', deleted),
    ];
    await editTask(target, changed, 'by the application');
    await editTask(target, untouched, 'by the application alone');
    await target`delete from public.tasks where id = ${deletedId}`;
    await setText(source, [changed, deleted], 'by the source');
    await source`update dispatch_office set name = 'A newer name' where id = 4`;
    const run = await migrate(pair);
    assert.equal(await conflictsOf(target, run), [
      `tasks ${changed} changed source`,
      `tasks ${deleted} deleted source`,
    ]);
    assert.equal(await textsOf(target, [changed, deleted, untouched]), [
      'by the source',
      'by the source',
      'by the application alone',
    ]);
    assert.is(await idOf(target, 'tasks', deleted), deletedId);
    const images = await target<{ id: string; description: string; reason: string }[]>`
      select id::text, image ->> 'description' as description, reason
      from migration.before_images where entity = 'tasks' and run = ${run}`;
    assert.equal(
      [...images],
      [{ id: changedId, description: 'by the application', reason: 'changed' }],
    );
    assert.equal(await rowsRead(target, await migrate(pair)), {});
  });

  test('a conflict with --on-conflict target: the application wins, and is counted', async ({
    pair,
    source,
    target,
  }) => {
    const [, , , changed = 0, deleted = 0] = await mappedKeys(target, 'tasks', 5);
    await editTask(target, changed, 'by the application');
    await target`
      delete from public.tasks where id = ${await idOf(target, 'tasks', deleted)}`;
    await setText(source, [changed, deleted], 'by the source');
    const run = await migrate(pair, { policy: 'target' });
    assert.equal(await conflictsOf(target, run), [
      `tasks ${changed} changed target`,
      `tasks ${deleted} deleted target`,
    ]);
    assert.match((await rowsWritten(target, run))['tasks'] ?? '', /^0 0 2 /);
    assert.equal(await textsOf(target, [changed, deleted]), ['by the application', null]);
    const next = await migrate(pair, { policy: 'target' });
    assert.equal(await rowsRead(target, next), {});
    await setText(source, [changed, deleted], 'again');
    const last = await migrate(pair);
    assert.equal((await conflictsOf(target, last)).length, 2);
    assert.equal(await textsOf(target, [changed, deleted]), ['again', 'again']);
  });

  test('rows that the target refuses are listed without their values; retry brings them', async ({
    pair,
    source,
    target,
  }) => {
    const [known = 0, mapped = 0] = await mappedKeys(target, 'tasks', 2);
    await target`
      alter table public.tasks add constraint no_zap check (description <> 'planted zap') not valid`;
    await copyRows(source, 'dispatch_task', {
      where: `id = ${known}`,
      id: '400001',
      set: `text = 'planted zap'`,
    });
    await source`update dispatch_task set text = 'planted zap' where id = ${mapped}`;
    const before = await textsOf(target, [mapped]);
    await migrate(pair);
    const listed = await succeed(pair, ['rejects', 'tasks', '--rows', '--limit', '1000']);
    assert.match(listed.stdout, /400,?001 +error_23514 +23514 +no_zap/);
    assert.not.match(listed.stdout, 'planted zap');
    assert.equal(await textsOf(target, [mapped]), before, 'the last good row stays');
    const gone = await target`
      select reason from migration.gone where entity = 'tasks' and legacy_id = ${mapped}`;
    assert.equal([...gone], [{ reason: 'rejected' }]);

    await target`alter table public.tasks drop constraint no_zap`;
    const retried = await runner(pair, ['retry', 'tasks', '--json'], {
      env: { REJECT_TOLERANCE: '2' },
    });
    assert.is(retried.code, 0, retried.stderr);
    assert.equal(await textsOf(target, [400_001, mapped]), ['planted zap', 'planted zap']);
    const open = await target`
      select legacy_id from migration.rejects
      where entity = 'tasks' and kind = 'error' and resolved_run is null`;
    assert.is(open.length, 0);
  });

  test('down lists what the application changed and references, and stops there', async ({
    pair,
    source,
    target,
  }) => {
    // settle what is not the point here, then let the application change two rows
    await source`update dispatch_task set text = concat(text, ' settled')`;
    await migrate(pair);
    const [key = 0] = await mappedKeys(target, 'tasks', 1);
    await editTask(target, key, 'by the application');
    await target`
      insert into public.tasks (order_id, template_name)
      select id, 'a task of the application' from ids.orders order by legacy_id limit 1`;
    const before = await touches(target, ['public', 'ids', 'migration']);
    const refused = await runner(pair, ['down', '1-foundation', '--cascade', '--yes', '--json']);
    assert.is(refused.code, 1, refused.stderr);
    assert.ok(refused.stdout, refused.stderr);
    const { entities: steps } = lastLine<{
      entities: { entity: string; touched: number; references: string[] }[];
    }>(refused);
    const found = steps.filter(({ touched, references }) => touched > 0 || references.length > 0);
    assert.equal(
      found.map(({ entity, touched, references }) => [entity, touched, references]),
      [
        // that one, and the two before it that lost a conflict
        ['tasks', 3, []],
        ['orders', 0, ['public.tasks.order_id (1)']],
      ],
    );
    sameDump(await touches(target, ['public', 'ids', 'migration']), before);

    // a reference that nothing else can satisfy: all is as it was
    const forced = await runner(pair, ['down', '1-foundation', '--cascade', '--yes', '--force']);
    assert.is(forced.code, 1, forced.stdout);
    assert.match(forced.stderr, 'nothing was changed');
    sameDump(await touches(target, ['public', 'ids', 'migration']), before);
  });

  test('down --force after all that: the rows are those from before the first run', async ({
    pair,
    target,
    before,
  }) => {
    await target`delete from public.tasks where template_name = 'a task of the application'`;
    await succeed(pair, ['down', '1-foundation', '--cascade', '--yes', '--force']);
    sameDump(await dumpRows(target, { clock: true }), before);
  });
}

function plantOffice(target: Sql): Promise<unknown> {
  return target`
    insert into public.offices (id, name, city, created_at, updated_at, legacy_office_id)
    values (${OFFICE}, 'An old name', 'Elsewhere', '2020-01-02', '2021-01-02', 4)`;
}

/** The lowest keys, or all, that are rows of target and source, not those planted by tests. */
async function mappedKeys(target: Sql, entity: string, count?: number): Promise<number[]> {
  const rows = await target<{ key: number }[]>`
    select m.legacy_id::integer as key from ids.${target(entity)} as m
    where m.missing is null and not exists (
      select from migration.gone as g where g.entity = ${entity} and g.legacy_id = m.legacy_id)
    order by 1 limit ${count ?? null}`;
  assert.is(rows.length, count ?? rows.length);
  return rows.map(({ key }) => key);
}

async function oneKey(target: Sql, entity: string): Promise<number> {
  const [key = 0] = await mappedKeys(target, entity, 1);
  return key;
}

async function mappedAmong(
  target: Sql,
  names: string[],
  keys: number[],
): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const name of names) {
    const [row] = await target<{ count: number }[]>`
      select count(*)::integer as count from ids.${target(name)}
      where legacy_id = any (${keys})`;
    if (row !== undefined && row.count > 0) found[name] = row.count;
  }
  return found;
}

/** Rows that are in the target because of their source row. */
async function rowsOf(target: Sql, entity: string): Promise<number> {
  const [row] = await target<{ count: number }[]>`
    select count(*)::integer as count from ids.${target(entity)} as m
    where not exists (select from migration.gone as g
      where g.entity = ${entity} and g.legacy_id = m.legacy_id)`;
  return row?.count ?? 0;
}

async function idOf(target: Sql, entity: string, key: number): Promise<string> {
  const [row] = await target<{ id: string }[]>`
    select id::text from ids.${target(entity)} where legacy_id = ${key}`;
  return row?.id ?? '';
}

async function rowOf(target: Sql, table: string, id: string): Promise<number> {
  const rows = await target`select from public.${target(table)} where id = ${id}`;
  return rows.length;
}

async function editTask(target: Sql, key: number, description: string): Promise<void> {
  await target`
    update public.tasks set description = ${description}
    where id = (select id from ids.tasks where legacy_id = ${key})`;
}

/** A transaction per row. */
async function setText(source: Sql, keys: number[], text: string): Promise<void> {
  for (const key of keys) {
    await source`update dispatch_task set text = ${text} where id = ${key}`;
  }
}

/** Descriptions of tasks by key; null where there is no row. */
async function textsOf(target: Sql, keys: number[]): Promise<(string | null)[]> {
  const rows = await target<{ key: number; text: string }[]>`
    select m.legacy_id::integer as key, t.description as text
    from ids.tasks as m join public.tasks as t on t.id = m.id where m.legacy_id = any (${keys})`;
  return keys.map((key) => rows.find((row) => row.key === key)?.text ?? null);
}

async function conflictsOf(target: Sql, run: number): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', entity, legacy_id, kind, resolution) as line from migration.conflicts
    where run = ${run} order by legacy_id, kind`;
  return rows.map(({ line }) => line);
}
