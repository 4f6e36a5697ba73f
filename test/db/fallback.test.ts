// deadline 300
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import {
  type Ended,
  lastLine,
  noResidue,
  open,
  runner,
  sameDump,
  scratch,
  succeed,
  touches,
  up,
} from '../runner.ts';

/* Rows that cannot be read or written, and tables that do not take what they are given. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

interface Reject {
  legacy_id: string;
  kind: string;
  reason: string;
  sqlstate: string | null;
  constraint_name: string | null;
  raw: boolean;
}

const test = suite<Context>('fallback');

test.before(async (context) => {
  context.pair = await testPair({ name: 'fallback', source: 'sample' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
});

test.after(async ({ pair, source, target }) => {
  await source.end();
  await target.end();
  await pair.drop();
});

test('a row that cannot be read is found by halving and rejected with its key', async (context) => {
  const { pair, source, target } = context;
  const project = scratch();
  project.edit('sql/1-foundation/10_offices.sql', (text) =>
    text.replace('btrim(o.apt) ', '(o.apt::integer)::text'),
  );
  await source`update dispatch_office set apt = id::text`;
  await source`update dispatch_office set apt = 'B 7' where id = 14`;
  const ended = await succeed(pair, ['up', '1-foundation', '--json'], { root: project.root });
  project.remove();
  const offices = lastLine(ended).entities.find(({ entity }) => entity === 'offices');
  assert.equal([offices?.inserted, offices?.rejected, offices?.balanced], [12, 1, true]);
  assert.equal(await rejects(target, 'offices'), [
    {
      legacy_id: '14',
      kind: 'error',
      reason: 'error_22P02',
      sqlstate: '22P02',
      constraint_name: null,
      raw: true,
    },
  ]);
  const wrong = await target`
    select m.legacy_id from ids.offices as m left join public.offices as o on o.id = m.id
    where m.legacy_id::text is distinct from o.apartment`;
  assert.equal([...wrong], []);
});

test('when the file is corrected the row comes in and the reject is resolved', async (context) => {
  const { pair, target } = context;
  const { entities } = await up(pair, '1-foundation');
  const offices = entities.find(({ entity }) => entity === 'offices');
  assert.equal([offices?.inserted, offices?.updated, offices?.rejected], [1, 0, 0]);
  assert.equal(await rejects(target, 'offices'), []);
  const [row] = await target`select apartment from public.offices where legacy_office_id = 14`;
  assert.is(row?.['apartment'], 'B 7');
});

test('a row whose filter fails in the source is isolated too', async ({ pair, source, target }) => {
  const project = scratch();
  project.edit('sql/1-foundation/70_roles.sql', (text) =>
    text.replace(/^(\s+)r\.id( +)as legacy_key,$/m, (line, space: string) =>
      [
        line,
        `${space}case when 1000000 / (r.id - 20) > 999999999 then 'never' end as filter,`,
      ].join(''),
    ),
  );
  const [there] = await source`select from dispatch_role where id = 20`;
  assert.ok(there);
  const ended = await runner(pair, ['up', '1-foundation', '--json'], { root: project.root });
  project.remove();
  // the row was stored before: it is rejected now and listed as gone
  assert.is(ended.code, 0, ended.stderr);
  assert.equal(
    (await rejects(target, 'roles')).map(({ legacy_id, sqlstate }) => [legacy_id, sqlstate]),
    [['20', '22012']],
  );
  const gone = await target`select legacy_id::text, reason from migration.gone`;
  assert.equal(
    [...gone].map((row) => ({ ...row })),
    [{ legacy_id: '20', reason: 'rejected' }],
  );
});

test('more refused rows than the limit: the phase fails and leaves nothing', async (context) => {
  const { pair, target } = context;
  await up(pair, '1-foundation');
  await target`
    alter table public.orders add constraint no_bad check (legacy_instruction_id not in (
      ${target.unsafe((await ordersOf(context, 2)).join(', '))}))`;
  const before = await touches(target, ['public', 'ids']);
  const ended = await runner(pair, ['up', '2-core']);
  assert.is(ended.code, 1);
  assert.match(ended.stderr, /orders: 2 of 234 rows were refused by the target .* 1 are allowed/);
  assert.match(ended.stderr, 'nothing that this run did in it is in the target');
  sameDump(await touches(target, ['public', 'ids']), before);
  await failedIn(context, '2-core', 'orders');
});

test('refused rows within the limit become rejects, all others are in', async (context) => {
  const { pair, source, target } = context;
  const [order] = await ordersOf(context, 1);
  await source.unsafe(`
    alter table dispatch_instruction alter column suffix type varchar(40);
    update dispatch_instruction set suffix = 'much too long' where id = ${order}`);
  // a patient without an order: no other row is to be rejected for this one
  const [patient] = await source<{ id: number }[]>`
    select min(p.id) as id from dispatch_patient as p
    where p.id not in (select patient_id from dispatch_instruction)`;
  assert.ok(patient?.id, 'the sample has no patient without an order');
  await target.unsafe(`
    alter table public.orders drop constraint no_bad;
    alter table public.patients
      add constraint no_bad check (legacy_patient_id <> ${patient.id})`);
  const { entities } = await up(pair, '2-core');
  const counts = entities
    .filter(({ entity }) => entity === 'orders' || entity === 'patients')
    .map((e) => [e.entity, e.source, e.inserted, e.rejected, e.balanced]);
  assert.equal(counts, [
    ['patients', 79, 78, 1, true],
    ['orders', 234, 230, 4, true],
  ]);
  assert.equal(await rejects(target, 'patients'), [
    {
      legacy_id: String(patient.id),
      kind: 'error',
      reason: 'error_23514',
      sqlstate: '23514',
      constraint_name: 'no_bad',
      raw: true,
    },
  ]);
  assert.equal(
    (await rejects(target, 'orders')).filter(({ kind }) => kind === 'error'),
    [
      {
        legacy_id: String(order),
        kind: 'error',
        reason: 'error_22001',
        sqlstate: '22001',
        constraint_name: null,
        raw: true,
      },
    ],
  );
  // halves, not single rows: each mark is a subtransaction that wrote
  const [marks] = await target<{ count: number }[]>`
    select count(*)::integer as count from migration.writes
    where run = (select max(run) from migration.runs)`;
  assert.ok(
    (marks?.count ?? 0) < 60,
    `${marks?.count} writes for 13 entities and two refused rows`,
  );
  const stored = await target<{ key: number }[]>`
    select legacy_instruction_id as key from public.orders order by 1`;
  const rejected = (await rejects(target, 'orders')).map(({ legacy_id }) => Number(legacy_id));
  const there = await source<{ id: number }[]>`select id from dispatch_instruction order by 1`;
  assert.equal(
    stored.map(({ key }) => key),
    there.map(({ id }) => id).filter((id) => !rejected.includes(id)),
  );
});

test('--full brings them in when nothing speaks against them any more', async (context) => {
  const { pair, source, target } = context;
  await target`alter table public.patients drop constraint no_bad`;
  await source`update dispatch_instruction set suffix = 'short' where suffix = 'much too long'`;
  const { entities } = await up(pair, '--full', '2-core');
  const counts = entities
    .filter(({ inserted, updated }) => inserted !== 0 || updated !== 0)
    .filter(({ inserted, updated }) => inserted !== null && updated !== null)
    .map((e) => [e.entity, e.inserted, e.rejected]);
  assert.ok(JSON.stringify(counts).includes('["patients",1,0]'), JSON.stringify(counts));
  assert.ok(JSON.stringify(counts).includes('["orders",1,3]'), JSON.stringify(counts));
  const left = await rejects(target, 'orders');
  assert.ok(left.every(({ kind }) => kind === 'rule'));
  await succeed(pair, ['down', '2-core', '--cascade', '--yes']);
});

test('a trigger that drops rows fails the phase, in words that say so', async (context) => {
  const { pair, target } = context;
  const [dropped] = await templateProducts(context);
  await dropping(target, 'template_products', `new.legacy_id = ${dropped}`);
  const before = await touches(target, ['public', 'ids']);
  const ended = await runner(pair, ['up', '2-core']);
  assert.is(ended.code, 1);
  assert.match(
    ended.stderr,
    /template_products: 161 rows to insert .* 160 .* trigger .* drops rows/,
  );
  sameDump(await touches(target, ['public', 'ids']), before);
  await failedIn(context, '2-core', 'template_products');
});

test('also when another row is refused and the batch is written row by row', async (context) => {
  const { pair, target } = context;
  const [dropped, refused] = await templateProducts(context);
  await target.unsafe(`
    alter table public.template_products add constraint no_bad check (legacy_id <> ${refused})`);
  const ended = await runner(pair, ['up', '2-core']);
  const lost = await target`
    select m.legacy_id::integer from ids.template_products as m
    where not exists (select from public.template_products as t where t.id = m.id)`;
  await target.unsafe(`
    alter table public.template_products drop constraint no_bad;
    drop function public.app_dropping() cascade`);
  assert.equal(
    lost.map((row) => row['legacy_id'] as number),
    [],
    `row ${dropped} is in the id map and not in the target`,
  );
  assert.is(ended.code, 1);
  assert.match(ended.stderr, 'drops rows');
});

test('checks of foreign keys keep their plans while rows are written and removed', async (context) => {
  const { pair, source, target } = context;
  await succeed(pair, ['down', '2-core', '--cascade', '--force', '--yes']);
  // a trigger runs under the settings under which the checks of foreign keys run
  await target.unsafe(`
    create schema app;
    create table app.modes (event text, mode text);
    create function app.note_mode() returns trigger language plpgsql security definer as $$
    begin
      insert into app.modes values (tg_op, current_setting('plan_cache_mode'));
      return null;
    end $$;
    create trigger moding after insert or update or delete on public.template_predecessors
      for each row execute function app.note_mode()`);
  await up(pair, '2-core');
  await source`
    delete from dispatch_template_predecessors
    where id = (select min(id) from dispatch_template_predecessors)`;
  await up(pair, '2-core');
  const modes = await target`select distinct event, mode from app.modes order by 1`;
  await target.unsafe('drop schema app cascade');
  assert.equal(
    modes.map((row) => ({ ...row })),
    [
      { event: 'DELETE', mode: 'auto' },
      { event: 'INSERT', mode: 'auto' },
    ],
  );
});

test('what a trigger rewrites is no change: later runs leave it, down takes it', async (context) => {
  const { pair, source, target } = context;
  await succeed(pair, ['down', '2-core', '--cascade', '--force', '--yes']);
  await target.unsafe(`
    create function public.app_rewrite() returns trigger language plpgsql as $$
    begin new.name := upper(new.name); return new; end $$;
    create trigger rewriting before insert or update on public.templates
      for each row execute function public.app_rewrite()`);
  await up(pair, '2-core');
  const [stored] = await target<{ odd: number; rows: number }[]>`
    select count(*) filter (where name <> upper(name))::integer as odd, count(*)::integer as rows
    from public.templates`;
  assert.equal({ ...stored }, { odd: 0, rows: 152 });
  const before = await touches(target);
  for (const more of [[], ['--full']]) {
    const { entities } = await up(pair, '2-core', ...more);
    const changed = entities.filter(({ inserted, updated }) => inserted || updated);
    assert.equal(
      changed.map(({ entity }) => entity),
      [],
    );
    sameDump(await touches(target), before, more.join());
  }
  // a change in the source is written, and no conflict
  const [template] = await source<{ id: number }[]>`
    update dispatch_template set task_name = 'from the source' where id = (
      select min(id) from dispatch_template) returning id`;
  const { entities } = await up(pair, '2-core');
  assert.is(entities.find(({ entity }) => entity === 'templates')?.updated, 1);
  const [row] = await target<{ name: string }[]>`
    select name from public.templates where legacy_template_id = ${template?.id ?? 0}`;
  assert.is(row?.name, 'FROM THE SOURCE');
  assert.equal([...(await target`select from migration.conflicts`)], []);
  await succeed(pair, ['down', '2-core', '--cascade', '--yes']);
  await target`drop function public.app_rewrite() cascade`;
});

test('a phase that commits range by range keeps what is committed, and goes on from there', async (context) => {
  const { pair, source, target } = context;
  // a tenth of the keys per range instead of all in one
  const [task] = await source<{ width: number; first: number }[]>`
    select ceil((max(id) - min(id) + 1) / 10.0)::integer as width, min(id) as first
    from dispatch_task`;
  assert.ok(task);
  await target`
    update migration.source_tables set width = ${task.width}
    where source_table = 'dispatch_task'`;
  await up(pair, '2-core', '3-operations');
  // rows of three ranges with others between them: three pieces
  const keys = await source<{ key: number }[]>`
    select min(id) as key from dispatch_task
    where instruction_id in (select id from dispatch_instruction)
    group by id / ${task.width} order by 1`;
  const [first, , second, , third] = keys.map(({ key }) => key);
  assert.ok(first && second && third);
  const touched = [first, second, third];
  await source`update dispatch_task set text = 'changed' where id in ${source(touched)}`;
  await dropping(target, 'tasks', `new.legacy_task_id = ${second}`);
  const ended = await runner(pair, ['up', '--json', '--jobs', '1']);
  assert.is(ended.code, 1);
  assert.match(ended.stderr, /tasks: 0 rows to insert and 1 to update, 0 and 0 written/);
  assert.match(ended.stderr, 'ranges committed before stay');
  assert.equal(await changedTasks(target), [first]);
  await failedIn(context, '3-operations', 'tasks');
  await target`drop function public.app_dropping() cascade`;
  const { entities } = await up(pair, '3-operations');
  assert.is(entities.find(({ entity }) => entity === 'tasks')?.updated, 2);
  assert.equal(await changedTasks(target), touched);
});

test('above the limit such a phase fails too; later phases do not start', async (context) => {
  const { pair, source, target } = context;
  const keys = await target<{ key: number }[]>`
    select legacy_task_id as key from public.tasks order by 1 limit 8`;
  const bad = keys.map(({ key }) => key);
  await target`
    alter table public.tasks add constraint no_bad check (description <> 'bad')`;
  await source`update dispatch_task set text = 'bad' where id in ${source(bad)}`;
  await source`
    update dispatch_task set text = 'good' where id = (
      select max(id) from dispatch_task where instruction_id in (
        select id from dispatch_instruction))`;
  const ended = await runner(pair, ['up', '--json']);
  assert.is(ended.code, 1);
  assert.match(ended.stderr, /tasks: 8 of 7690 rows were refused by the target .* 7 are allowed/);
  assert.match(ended.stderr, 'later phases did not start');
  await failedIn(context, '3-operations', 'tasks');
  assert.equal(
    (await rejects(target, 'tasks'))
      .filter(({ kind }) => kind === 'error')
      .map(({ legacy_id, constraint_name }) => [Number(legacy_id), constraint_name]),
    bad.map((key) => [key, 'no_bad']),
  );
  const [good] = await target`select from public.tasks where description = 'good'`;
  assert.ok(good, 'the rows that are right are not in');
});

test('after all of this nothing of the runner is left', async ({ source, target }) => {
  await noResidue(target, source);
});

/** A trigger that drops the rows for which the condition holds. */
async function dropping(target: Sql, table: string, condition: string): Promise<void> {
  await target.unsafe(`
    create function public.app_dropping() returns trigger language plpgsql as $$
    begin
      if ${condition} then return null; end if;
      return new;
    end $$;
    create trigger dropping before insert or update on public.${table}
      for each row execute function public.app_dropping()`);
}

/** Two rows of template_products, which no other table refers to, that are stored otherwise. */
async function templateProducts({ source }: Context): Promise<[number, number]> {
  const [row] = await source<{ first: number; last: number }[]>`
    select min(id) as first, max(id) as last from dispatch_template_products
    where product_id in (select id from dispatch_product)`;
  assert.ok(row);
  return [row.first, row.last];
}

/** Orders that are stored when nothing is in their way. */
async function ordersOf({ source }: Context, count: number): Promise<number[]> {
  const rows = await source<{ id: number }[]>`
    select i.id from dispatch_instruction as i join dispatch_patient as p on p.id = i.patient_id
    where i.course_id in (1, 2, 3) order by i.id limit ${count}`;
  assert.is(rows.length, count);
  return rows.map(({ id }) => id);
}

async function changedTasks(target: Sql): Promise<number[]> {
  const rows = await target<{ key: number }[]>`
    select legacy_task_id as key from public.tasks where description = 'changed' order by 1`;
  return rows.map(({ key }) => key);
}

/** The ledger says that this phase failed in that entity, and that no later phase was tried. */
async function failedIn({ pair, target }: Context, phase: string, entity: string): Promise<void> {
  const status: Ended = await succeed(pair, ['status', '--json']);
  const summary = lastLine(status);
  assert.match(summary.verdict, `Failed in ${entity}`);
  assert.is(summary.phases.find((each) => each.phase === phase)?.status, 'failed');
  const tried = await target<{ phase: string; status: string; error: string | null }[]>`
    select phase, status, error from migration.control
    where run = (select max(run) from migration.runs) order by started_at`;
  assert.equal(
    tried.filter(({ status: state }) => state === 'failed').map((row) => row.phase),
    [phase],
  );
  assert.ok(tried.every((row) => row.phase <= phase));
}

async function rejects(target: Sql, entity: string): Promise<Reject[]> {
  const rows = await target<Reject[]>`
    select legacy_id::text, kind, reason, sqlstate, constraint_name,
      source_row ->> 'id' = legacy_id::text as raw
    from migration.rejects
    where entity = ${entity} and resolved_run is null order by legacy_id`;
  return rows.map((row) => ({ ...row }));
}

test.run();
