// deadline 600
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
  preparePair,
  rowsRead,
  rowsWritten,
} from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { open, sameDump, waitFor } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

const test = suite<Context>('lookups');
/** What the tests look at, of what reads the tables that change here. */
const PHASES = { phases: 5, entities: ['case_files', 'files', 'tasks', 'treatment_plans'] };

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'lookups', source: 'sample' }));
  const { pair, source, target } = context;
  // enough rows for reading by keys
  await copyRows(source, 'dispatch_file', {
    where: 'id < 6000',
    id: 'id + 10000',
    set: 'uid = md5(id::text)::uuid',
  });
  for (let copy = 1; copy <= 8; copy += 1) {
    await copyRows(source, 'dispatch_plan', {
      where: 'id < 10000',
      id: `id + ${copy * 10000}`,
    });
  }
  await migrate(pair, PHASES);
  // a hundredth of the rows: look-ups are followed by single keys, files are in several ranges
  await target`
    update migration.source_tables set width = case source_table
      when 'dispatch_file' then 10000 else 50 end
    where source_table in ('dispatch_file', 'dispatch_instruction', 'dispatch_patient')`;
  await target`update migration.lookups set version_digest = '', reached = null`;
  await migrate(pair, PHASES);
  assert.equal(await rowsRead(target, await migrate(pair, PHASES)), {});
});

test.after(dropPair);

test('a changed look-up row leads to the rows that look it up, in one step and in two', async ({
  pair,
  source,
  target,
}) => {
  const { order, patient } = await busyOrder(source);
  await source`
    update dispatch_instruction set patient_id = (
      select max(id) from dispatch_patient where user_id is not null and id <> ${patient})
    where id = ${order}`;
  const run = await migrate(pair, PHASES);
  const read = await rowsRead(target, run);
  const [expected] = await source<{ files: number; plans: number }[]>`
    select
      (select count(*)::integer from dispatch_file where instruction_id = ${order}) as files,
      (select count(*)::integer from dispatch_plan where instruction_id = ${order}) as plans`;
  assert.is(read['case_files'], expected?.files);
  assert.is(read['treatment_plans'], expected?.plans);
  assert.is(read['files'], undefined);
  assert.is((await rowsWritten(target, run))['case_files'], `0 ${expected?.files} 0 0`);

  // the patient's doctor is two steps away
  await source`
    update dispatch_patient as p set doctor_id = (
      select max(o.doctor_id) from dispatch_patient as o where o.doctor_id is distinct from p.doctor_id)
    where id = (select patient_id from dispatch_instruction where id = ${order})`;
  const next = await rowsRead(target, await migrate(pair, PHASES));
  const [plans] = await source<{ count: number }[]>`
    select count(*)::integer from dispatch_plan as p
    join dispatch_instruction as i on i.id = p.instruction_id
    where i.patient_id = (select patient_id from dispatch_instruction where id = ${order})`;
  assert.is(next['treatment_plans'], plans?.count);
  assert.is(next['case_files'], undefined, 'the view does not use that column');
  await allWritten(pair, target);
});

test('rows added to a look-up table, with rows that look them up: nothing else is read', async ({
  pair,
  source,
  target,
}) => {
  const { order } = await busyOrder(source);
  await copyRows(source, 'dispatch_instruction', { where: `id = ${order}`, id: '800001' });
  await copyRows(source, 'dispatch_file', {
    where: `id = (select min(id) from dispatch_file where instruction_id = ${order})`,
    id: '800001',
    set: `instruction_id = 800001, uid = md5('added')::uuid`,
  });
  const run = await migrate(pair, PHASES);
  assert.is((await rowsRead(target, run))['case_files'], 1);
  assert.is((await rowsWritten(target, run))['case_files'], '1 0 0 0');
});

test('a look-up row that is deleted, and the same once more after it came back', async ({
  pair,
  source,
  target,
}) => {
  await source`create table lost as select * from dispatch_instruction where id = 800001`;
  await source`delete from dispatch_instruction where id = 800001`;
  const run = await migrate(pair, PHASES);
  assert.is((await rowsWritten(target, run))['case_files'], '0 0 0 1');
  const rejects = await target`
    select reason from migration.rejects
    where entity = 'case_files' and legacy_id = 800001 and resolved_run is null`;
  assert.equal([...rejects], [{ reason: 'orphan_order' }]);
  await source`insert into dispatch_instruction select * from lost`;
  await source`drop table lost`;
  await migrate(pair, PHASES);
  await allWritten(pair, target);
});

test('a look-up row that changes while the run reads, and changes back: read again', async ({
  pair,
  source,
  target,
}) => {
  const { order, patient } = await busyOrder(source);
  await source`update dispatch_file set name = 'seen with another patient'
    where instruction_id = ${order}`;
  await during(pair, target, async () => {
    await source`
      update dispatch_instruction set patient_id = (
        select min(id) from dispatch_patient where user_id is not null and id <> ${patient})
      where id = ${order}`;
  });
  await source`update dispatch_instruction set patient_id = ${patient} where id = ${order}`;
  const read = await rowsRead(target, await migrate(pair, PHASES));
  const [files] = await source<{ all: number; mine: number }[]>`
    select count(*)::integer as all,
      (count(*) filter (where instruction_id = ${order}))::integer as mine
    from dispatch_file where instruction_id is not null`;
  assert.ok((read['case_files'] ?? 0) >= (files?.mine ?? 0));
  await allWritten(pair, target);
  assert.equal(await rowsRead(target, await migrate(pair, PHASES)), {});
});

test('a look-up that changed back after a run that failed half way: every range is right', async ({
  pair,
  source,
  target,
}) => {
  const { order, patient } = await busyOrder(source);
  const before = await liveRows(target);
  await source`
    update dispatch_instruction set patient_id = (
      select min(id) from dispatch_patient where user_id is not null and id <> ${patient})
    where id = ${order}`;
  // files have copies in another range: the first is written, the second fails
  await target.unsafe(`
    create function public.fail() returns trigger language plpgsql as $$
    begin
      if exists (select from ids.files as f where f.id = new.file_id and f.legacy_id > 10000) then
        raise exception 'planted';
      end if;
      return new;
    end $$;
    create trigger fail before insert or update on public.case_files
      for each row execute function public.fail()`);
  const error = await errorOf(migrate(pair, { ...PHASES, jobs: 1, pieceRows: 100 }));
  assert.match(error.message, 'planted');
  await target.unsafe('drop function public.fail() cascade');
  const seen = await target`select distinct seen from migration.ranges where entity = 'case_files'`;
  assert.is(seen.length, 2);
  await source`update dispatch_instruction set patient_id = ${patient} where id = ${order}`;
  await migrate(pair, PHASES);
  sameDump(await liveRows(target), before);
});

test('a look-up that changed for a run that was killed, and changed back: every range is right', async ({
  pair,
  source,
  target,
}) => {
  const { order, patient } = await busyOrder(source);
  await source`update dispatch_file set name = 'read by a run that is killed'
    where instruction_id = ${order}`;
  // files have copies in another range: the first is committed, in the second the run is killed
  await target.unsafe(`
    create function public.halt() returns trigger language plpgsql as $$
    begin
      if exists (select from ids.files as f where f.id = new.file_id and f.legacy_id > 10000) then
        perform pg_advisory_xact_lock(1, 1);
      end if;
      return new;
    end $$;
    create trigger halt before insert or update on public.case_files
      for each row execute function public.halt()`);
  const application = open(pair.targetAdminUrl);
  await application`select pg_advisory_lock(1, 1)`;
  await application`begin`;
  await application`lock table migration.control in access exclusive mode`;
  const killed = errorOf(migrate(pair, { ...PHASES, jobs: 1, pieceRows: 100 }));
  // it has taken the sums and waits in the first phase
  await blockedRunner(target);
  await source`
    update dispatch_instruction set patient_id = (
      select min(id) from dispatch_patient where user_id is not null and id <> ${patient})
    where id = ${order}`;
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
    where entity = 'case_files' and run = (select max(run) from migration.runs)`;
  assert.equal([...committed], [{ range: 0 }]);
  await source`update dispatch_instruction set patient_id = ${patient} where id = ${order}`;
  await migrate(pair, PHASES);
  await allWritten(pair, target);
});

test('look-up rows that go while the run reads, or come, or change, and are back in their range', async ({
  pair,
  source,
  target,
}) => {
  const { order, patient } = await busyOrder(source);
  const addOrder = (id: number) =>
    copyRows(source, 'dispatch_instruction', { where: `id = ${order}`, id: `${id}` });
  // the last one lies in the same range of its content as a row of the range before
  await target`
    update migration.source_tables set width = 101 where source_table = 'dispatch_instruction'`;
  const [going, coming, between] = [900000, 900500, 101 * 9001];
  await addOrder(going);
  await addOrder(between);
  for (const id of [going, coming, between]) {
    await copyRows(source, 'dispatch_file', {
      where: `id = (select min(id) from dispatch_file where instruction_id = ${order})`,
      id: `${id}`,
      set: `instruction_id = ${id}, uid = md5('${id}')::uuid`,
    });
  }
  await target`update migration.lookups set version_digest = '', reached = null`;
  await migrate(pair, PHASES);
  const rejects = async () => {
    const rows = await target<{ id: number; reason: string }[]>`
      select legacy_id::integer as id, reason from migration.rejects
      where entity = 'case_files' and legacy_id >= ${going} and resolved_run is null order by 1`;
    return rows.map(({ id, reason }) => `${id} ${reason}`);
  };
  assert.equal(await rejects(), [`${coming} orphan_order`]);

  await source`update dispatch_file set name = 'read again' where id in (${coming}, ${between})`;
  await during(pair, target, async () => {
    await source`delete from dispatch_instruction where id = ${going}`;
    await addOrder(coming);
    await source`
      update dispatch_instruction set patient_id = (
        select min(id) from dispatch_patient where user_id is not null and id <> ${patient})
      where id = ${between}`;
  });
  assert.equal(await rejects(), []);
  await source`delete from dispatch_instruction where id = ${coming}`;
  await source`update dispatch_instruction set patient_id = ${patient} where id = ${between}`;
  await migrate(pair, PHASES);
  assert.equal(await rejects(), [`${going} orphan_order`, `${coming} orphan_order`]);
  const cases = await target<{ patient: number }[]>`
    select c.legacy_id::integer as patient
    from ids.case_files as m
    join public.case_files as f on f.id = m.id
    join ids.cases as c on c.id = f.case_id
    where m.legacy_id = ${between}`;
  assert.equal([...cases], [{ patient }]);
  await addOrder(going);
  await addOrder(coming);
  await migrate(pair, PHASES);
  await allWritten(pair, target);
});

test('a look-up that is emptied, and filled again as it was', async ({ pair, source, target }) => {
  const before = await liveRows(target);
  await source`create table lost as select * from dispatch_plan`;
  await source`truncate dispatch_plan`;
  const some = { ...PHASES, tolerance: 1, removeMany: true };
  await migrate(pair, some);
  await source`insert into dispatch_plan select * from lost`;
  await source`drop table lost`;
  await migrate(pair, some);
  sameDump(await liveRows(target), before);
});

test('a range that is summed in two steps is not taken for a changed one', async ({
  pair,
  source,
  target,
}) => {
  const { order } = await busyOrder(source);
  await target`
    update migration.source_tables set width = 50 where source_table = 'dispatch_instruction'`;
  // a step is 200 ranges, from the first key on
  const [step] = await source<{ end: number }[]>`
    select min(id)::integer + 10000 as end from dispatch_instruction`;
  assert.ok(step !== undefined && step.end % 50 > 0);
  for (const id of [step.end - 1, step.end]) {
    await copyRows(source, 'dispatch_instruction', { where: `id = ${order}`, id: `${id}` });
  }
  await source`update dispatch_file set name = 'to be read' where instruction_id = ${order}`;
  await migrate(pair, PHASES);
  const unsettled = await target`
    select source_table from migration.lookups where entity = 'case_files' and not settled`;
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
      await copyRows(source, 'dispatch_task', {
        where: `id = ${await oneTask(target)}`,
        id: '1',
      });
    },
    { full: true },
  );
  assert.is((await target`select from ids.tasks where legacy_id = 1`).length, 1);
  await source`delete from dispatch_task where id = 1`;
  await migrate(pair, PHASES);
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
    select id from dispatch_file where instruction_id is not null order by id limit 3`;
  const change = () => source`
    update dispatch_file set name = concat(name, '!') where id = any (${keys.map(({ id }) => id)})`;
  await change();
  const hinted = await rowsRead(target, await migrate(pair, PHASES));
  const newer = await target<{ id: number }[]>`
    select id::integer from migration.newer where source_table = 'dispatch_file' order by id`;
  assert.equal([...newer], [...keys]);
  await target`update migration.entities set horizon = horizon + 1000000`;
  await change();
  const listed = await rowsRead(target, await migrate(pair, PHASES));
  assert.is((await target`select from migration.newer`).length, 0);
  assert.is(hinted['files'], 3);
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
  const running = migrate(pair, { ...PHASES, ...options });
  await blockedRunner(target);
  await change();
  await application`commit`;
  await application.end();
  await running;
}

/** An order that has files, plans and a patient, all of them in the target. */
async function busyOrder(source: Sql): Promise<{ order: number; patient: number }> {
  const [row] = await source<{ order: number; patient: number }[]>`
    select i.id as order, i.patient_id as patient
    from dispatch_instruction as i
    join dispatch_patient as p on p.id = i.patient_id and p.user_id is not null
    where exists (select from dispatch_file as f where f.instruction_id = i.id and f.id < 6000)
      and exists (select from dispatch_plan as p where p.instruction_id = i.id)
      and i.course_id in (select id from dispatch_course) and i.deleted is not true
    order by i.id limit 1`;
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
  assert.equal(await rowsWritten(target, await migrate(pair, { ...PHASES, full: true })), {});
}

async function asNew(pair: TestPair, target: Sql): Promise<void> {
  sameDump(await liveRows(target), await freshRows(pair, undefined, PHASES), 'as a new migration');
}
