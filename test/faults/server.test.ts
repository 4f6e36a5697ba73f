// deadline 900
import { execFileSync } from 'node:child_process';
import { chownSync, cpSync, mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serverAccount } from '../../runner/embedded/binaries.ts';
import {
  blockedRunner,
  copyRows,
  errorOf,
  liveRows,
  migrate,
  rowsRead,
  rowsWritten,
} from '../migrate.ts';
import {
  dumpCatalog,
  type Ended,
  open,
  ROOT,
  runner,
  sameDump,
  scratch,
  startRunner,
  succeed,
  touches,
  waitFor,
} from '../runner.ts';
import { startPooler } from './pooler.ts';
import { onStage, share, type Shared, type Stage } from './target.ts';

/* Faults of the servers and of those who share them. Each ends as target.ts says. */

interface Context {
  shared: Shared;
  /** A run that meets a lock nobody lets go of, from the first test to the last but one. */
  locked: Promise<{ ended: Ended; seconds: number; second: Ended; left: number }>;
}

const ROUNDS = 20;

const test = suite<Context>('server');

test.before(async (context) => {
  context.shared = await share('server');
  context.locked = runAgainstLock();
  context.locked.catch(() => {});
});

test.after(({ shared }) => shared.drop());

diskFull();

test('statement_timeout of the role does not stop a run', ({ shared }) =>
  onStage(shared, async (stage) => {
    await slowStatements(stage.target, 1.5);
    await setForRole(stage, `statement_timeout = '1s'`);
    const probe = open(stage.targetUrl);
    const stopped = await errorOf(
      probe`insert into public.teams (name) values ('slow')`.then((rows) => [...rows]),
    );
    assert.match(stopped.message, 'statement timeout');
    await probe.end();
    await succeed(stage, ['up', '1-foundation']);
    await stage.target`drop trigger slow on public.teams`;
    await stage.settles('statement_timeout', { phases: 1 });
  }));

test('a table locked by the application: the run waits, and goes on when it is released', ({
  shared,
}) =>
  onStage(shared, async (stage) => {
    await stage.application`begin`;
    await stage.application`lock table public.offices in access exclusive mode`;
    const { ended } = startRunner(stage, ['up', '1-foundation']);
    await blockedRunner(stage.target);
    await stage.application`commit`;
    const { code, stderr } = await ended;
    assert.is(code, 0, stderr);
    await stage.settles('locked table', { phases: 1 });
  }));

test('a table of the archive locked for longer than a wait may take: tried again', ({ shared }) =>
  onStage(shared, async ({ source, target, application, ...urls }) => {
    await migrate(urls, { phases: 1, archive: true });
    await source`update dispatch_agent set id = id`;
    await application`begin`;
    await application`lock table legacy_archive.dispatch_agent in access exclusive mode`;
    const running = migrate(urls, { phases: 1, archive: true });
    await blockedRunner(target);
    await sleep(11_000);
    await application`commit`;
    const run = await running;
    const [row] = await target`
      select status from migration.control
      where run = ${run} and entity = 'legacy_archive.dispatch_agent'`;
    assert.is(row?.['status'], 'done');
  }));

test('a deadlock with the application: the run is the victim, and tries again', ({ shared }) =>
  onStage(shared, async (stage) => {
    const { target } = stage;
    // whoever waits for a second with a cycle around it is the victim: not this session
    await target`set deadlock_timeout = '60s'`;
    await target`begin`;
    await target`lock table public.teams in access exclusive mode`;
    const { ended } = startRunner(stage, ['up', '1-foundation']);
    const watch = open(stage.targetAdminUrl);
    await blockedRunner(watch);
    // the run has written offices in the same transaction
    await target`lock table public.offices in access exclusive mode`;
    await target`commit`;
    const { code, stderr } = await ended;
    assert.is(code, 0, stderr);
    await waitFor(
      'the deadlock is counted',
      () => watch`
        select deadlocks from pg_stat_database
        where datname = current_database() and deadlocks = 1`,
    );
    await watch.end();
    await stage.settles('deadlock', { phases: 1 });
  }));

test(`two runs at once, ${ROUNDS} times: one after the other, nothing is done twice`, ({
  shared,
}) =>
  onStage(shared, async (stage) => {
    const { source, target } = stage;
    await migrate(stage, { phases: 1 });
    for (let round = 0; round < ROUNDS; round += 1) {
      await source`
        update dispatch_office set address = ${`round ${round}`}
        where id = (select min(id) from dispatch_office)`;
      const both = await Promise.allSettled([
        migrate(stage, { phases: 1 }),
        migrate(stage, { phases: 1 }),
      ]);
      const runs: number[] = [];
      for (const each of both) {
        if (each.status === 'fulfilled') runs.push(each.value);
        else assert.is((each.reason as Error).name, 'RunnerBusy');
      }
      assert.ok(runs.length > 0);
      const written = await Promise.all(runs.map((run) => rowsWritten(target, run)));
      assert.equal(
        written.filter((one) => Object.keys(one).length > 0),
        [{ offices: '0 1 0 0' }],
      );
    }
    const overlaps = await target`
      select a.run from migration.runs as a join migration.runs as b on b.run > a.run
      where b.started_at < a.finished_at or a.status <> 'done'`;
    assert.equal([...overlaps], []);
    shared.forget();
    sameDump(await liveRows(target), await shared.expected(1));
  }));

for (const order of ['last', 'first'] as const) {
  test(`a transaction pooler (session used ${order}) is recognised; nothing is written`, ({
    shared,
  }) =>
    onStage(shared, async (stage) => {
      const url = new URL(stage.targetUrl);
      const pooler = await startPooler({ host: url.hostname, port: Number(url.port) }, order);
      url.port = String(pooler.port);
      const before = await dumpCatalog(stage.target);
      const rows = await touches(stage.target);
      try {
        for (const args of [['up'], ['up', '--dry-run'], ['doctor']]) {
          const { code, stdout, stderr } = await runner({ ...stage, targetUrl: url.href }, args);
          assert.is(code, 1, `${args.join(' ')}: ${stdout}${stderr}`);
          // doctor breaks its lines
          const said = (stdout + stderr).replaceAll(/\s+/g, ' ');
          assert.match(said, 'a transaction pooler changes the server session');
        }
        assert.ok(pooler.moved() > 0);
      } finally {
        await pooler.stop();
      }
      sameDump(await dumpCatalog(stage.target), before);
      sameDump(await touches(stage.target), rows);
      const [made] = await stage.target`select to_regclass('migration.runs')::text as name`;
      assert.is(made?.['name'], null);
      await stage.settles('pooler', { phases: 1 });
    }));
}

test('an applied schema change that was edited is refused; one that arrives late is applied', ({
  shared,
}) =>
  onStage(shared, async (stage) => {
    const copy = scratch();
    const folder = join(copy.root, 'schema-changes');
    unlinkSync(folder);
    cpSync(join(ROOT, 'schema-changes'), folder, { recursive: true });
    const [first] = execFileSync('ls', [join(folder, 'additive')])
      .toString()
      .split('\n');
    const file = `schema-changes/additive/${first}`;
    try {
      await succeed(stage, ['up', '1-foundation'], { root: copy.root });
      const before = await touches(stage.target);
      let original = '';
      copy.edit(file, (text) => {
        original = text;
        return `${text}\n-- edited\n`;
      });
      const edited = await runner(stage, ['up', '1-foundation'], { root: copy.root });
      assert.is(edited.code, 1, edited.stdout);
      assert.match(edited.stderr, first ?? '');
      sameDump(await touches(stage.target), before);
      copy.edit(file, () => original);

      // its number lies before those that are applied
      const late = `${String(Number(/^\d+/.exec(first ?? '')?.[0]) - 1)}_late.sql`;
      cpSync(join(copy.root, file), join(folder, 'additive', late));
      copy.edit(
        `schema-changes/additive/${late}`,
        () =>
          '-- Up Migration\n\ncreate table public.late (id uuid);\n\n-- Down Migration\n\ndrop table public.late;\n',
      );
      const merged = await runner(stage, ['up', '1-foundation'], { root: copy.root });
      const [there] = await stage.target`select to_regclass('public.late') is not null as there`;
      // either way it is said, and nothing is half
      if (merged.code === 0) assert.is(there?.['there'], true);
      else assert.match(merged.stderr, late);
      sameDump(
        await touches(stage.target),
        there?.['there'] === true ? new Map([...before, ['public.late', ['0']]]) : before,
      );
      await stage.target`drop table if exists public.late`;
      await stage.settles('schema change', { phases: 1 });
    } finally {
      copy.remove();
    }
  }));

test('source rows that change while the run writes: the next run brings them', ({ shared }) =>
  onStage(shared, async (stage) => {
    const { source, target, application } = stage;
    await application`begin`;
    // the run may read the table but not write it: the rows are read by then
    await application`lock table public.tasks in share mode`;
    const running = migrate(stage);
    await blockedRunner(target);
    const keys = await keysOf(source, 'dispatch_task', 4);
    await source`update dispatch_task set text = 'during' where id = ${keys[0] ?? 0}`;
    await source`delete from dispatch_task where id = ${keys[1] ?? 0}`;
    await copyRows(source, 'dispatch_task', { where: `id = ${keys[2]}`, id: '700001' });
    await application`commit`;
    await running;
    const run = await migrate(stage);
    assert.equal(await rowsRead(target, run), { tasks: 2 });
    assert.equal(await rowsWritten(target, run), { tasks: '1 1 0 1' });
    const [row] = await target`
      select description from public.tasks where legacy_task_id = ${keys[0] ?? 0}`;
    assert.is(row?.['description'], 'during');
    shared.forget();
    sameDump(await liveRows(target), await shared.expected(3));
  }));

test('source transactions that commit late, below all that was read: the next run brings them', ({
  shared,
}) =>
  onStage(shared, async (stage) => {
    const { source, target } = stage;
    const [old = 0, other = 0] = (await keysOf(source, 'dispatch_task', 6)).slice(4);
    const late = open(shared.pair.sourceAdminUrl);
    await late`begin`;
    await late`update dispatch_task set text = 'late' where id = ${old}`;
    await copyRows(late, 'dispatch_task', { where: `id = ${other}`, id: '1' });
    // later transactions, with higher numbers and keys, are read before
    await source`update dispatch_task set text = 'early' where id = ${other}`;
    await copyRows(source, 'dispatch_task', { where: `id = ${other}`, id: '700002' });
    await migrate(stage);
    await late`commit`;
    await late.end();
    const run = await migrate(stage);
    assert.equal(await rowsWritten(target, run), { tasks: '1 1 0 0' });
    assert.equal(await rowsRead(target, await migrate(stage)), {});
    shared.forget();
    sameDump(await liveRows(target), await shared.expected(3));
  }));

test('a clock that is a day off: doctor says so, nothing depends on it', ({ shared }) =>
  onStage(shared, async (stage) => {
    const { source } = stage;
    await source`
      create or replace function pg_catalog.clock_timestamp() returns timestamptz
      language sql volatile as 'select now() - interval ''1 day'''`;
    try {
      const { stdout } = await runner(stage, ['doctor']);
      assert.match(stdout, /note +clocks: 86[34]\d\d\.\d s apart/);
      await migrate(stage, { phases: 1 });
      await source`
        update auth_user set last_login = '1999-01-01', first_name = 'skewed' where id = (
          select max(id) from auth_user)`;
      const run = await migrate(stage, { phases: 1 });
      assert.equal((await rowsWritten(stage.target, run))['profiles'], '0 1 0 0');
    } finally {
      await source`
        create or replace function pg_catalog.clock_timestamp() returns timestamptz
        language internal volatile strict parallel safe as 'clock_timestamp'`;
    }
    assert.equal(await rowsRead(stage.target, await migrate(stage, { phases: 1 })), {});
    shared.forget();
  }));

const DRIFTS: [what: string, apply: string, undo: string, says: RegExp][] = [
  [
    'renamed',
    'alter table dispatch_office rename column apt to flat',
    'alter table dispatch_office rename column flat to apt',
    /sql\/1-foundation\/10_offices\.sql:\d+:\d+ .*apt/,
  ],
  [
    'retyped',
    `alter table dispatch_office alter column emails type text using emails::text`,
    `alter table dispatch_office alter column emails type boolean using emails::boolean`,
    /sql\/1-foundation\/10_offices\.sql:\d+:\d+ .*email_notifications is text/,
  ],
];
for (const [what, apply, undo, says] of DRIFTS) {
  test(`a source column ${what}: refused with file and line before anything is written`, ({
    shared,
  }) =>
    onStage(shared, async (stage) => {
      await migrate(stage, { phases: 1 });
      const before = await touches(stage.target, ['public', 'ids']);
      await stage.source.unsafe(apply);
      try {
        const { code, stderr } = await runner(stage, ['up', '1-foundation']);
        assert.is(code, 1);
        assert.match(stderr, says);
        assert.match(stderr, 'no row was changed');
        sameDump(await touches(stage.target, ['public', 'ids']), before);
      } finally {
        await stage.source.unsafe(undo);
      }
      const run = await migrate(stage, { phases: 1 });
      assert.equal(await rowsWritten(stage.target, run), {});
    }));
}

test('a source column added: the run does as before', ({ shared }) =>
  onStage(shared, async (stage) => {
    await migrate(stage, { phases: 1 });
    await stage.source`alter table dispatch_office add column extra text default 'new'`;
    try {
      const run = await migrate(stage, { phases: 1 });
      assert.equal(await rowsWritten(stage.target, run), {});
      const coverage = await runner(stage, ['check', 'coverage']);
      assert.is(coverage.code, 1);
      assert.match(coverage.stdout + coverage.stderr, /dispatch_office.*extra/);
    } finally {
      await stage.source`alter table dispatch_office drop column extra`;
    }
    const run = await migrate(stage, { phases: 1 });
    assert.equal(await rowsWritten(stage.target, run), {});
  }));

test('a target that is read only: refused before anything is written', ({ shared }) =>
  onStage(shared, async (stage) => {
    await setForRole(stage, 'default_transaction_read_only = on');
    for (const args of [['up'], ['doctor']]) {
      const { code, stdout, stderr } = await runner(stage, args);
      assert.is(code, 1);
      assert.match(stdout + stderr, /target is writable: transactions are read only/);
    }
    const [made] = await stage.target`select to_regclass('migration.runs')::text as name`;
    assert.is(made?.['name'], null);
    await setForRole(stage, 'default_transaction_read_only = off');
    await stage.settles('read-only target', { phases: 1 });
  }));

test('a table that stays locked: tried again, then a clear error; a second runner gives up', async ({
  locked,
}) => {
  const { ended, second, seconds, left } = await locked;
  assert.is(second.code, 3, second.stderr);
  assert.match(second.stderr, 'another runner is at work');
  assert.is(ended.code, 1, ended.stderr);
  assert.match(ended.stderr, /phase 1-foundation failed: .*lock timeout/);
  assert.match(ended.stderr, 'nothing that this run did in it is in the target');
  assert.ok(seconds > 20 && seconds < 150, `${seconds} s`);
  assert.is(left, 0);
});

test.run();

/** Full disk: the tablespace of one table is a file system of one megabyte. Needs mount. */
function diskFull(): void {
  const name = 'a full disk: the phase fails, says so, and goes on from there when there is room';
  const place = process.getuid?.() === 0 ? mountTemporary() : undefined;
  if (place === undefined) {
    test.skip(`${name}: needs root and mount`);
    return;
  }
  test(name, async ({ shared }) => {
    const space = `small_${process.pid}`;
    await onStage(shared, async (stage) => {
      const { target } = stage;
      try {
        await target.unsafe(`create tablespace ${space} location '${place}'`);
        await target.unsafe(`alter table public.tasks set tablespace ${space}`);
        const full = await runner(stage, ['up', '1', '2', '3']);
        assert.is(full.code, 1, full.stderr);
        assert.match(full.stderr, /phase 3-operations failed: .*No space left on device/);
        assert.match(full.stderr, 'it goes on from there');
        const [rows] = await target`
          select (select count(*)::integer from public.tasks) as tasks,
            (select count(*)::integer from ids.tasks) as mapped,
            (select count(*) > 0 from public.files) as files`;
        assert.equal({ ...rows }, { tasks: 0, mapped: 0, files: true });
        execFileSync('mount', ['-o', 'remount,size=200M', place]);
        await stage.settles('disk full');
        const again = await target`
          select entity from migration.control
          where run = (select max(run) from migration.control) and rows_read > 0
            and entity in ('files', 'order_files', 'patients')`;
        assert.equal([...again], [], 'what was committed is not read again');
      } finally {
        await target.unsafe('alter table public.tasks set tablespace pg_default');
        await target.unsafe(`drop tablespace if exists ${space}`);
      }
    });
    execFileSync('umount', [place]);
    rmSync(place, { recursive: true });
  });
}

function mountTemporary(): string | undefined {
  const place = mkdtempSync(join(tmpdir(), 'full-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1M', 'tmpfs', place], { stdio: 'ignore' });
    const { uid, gid } = serverAccount();
    if (uid !== undefined && gid !== undefined) chownSync(place, uid, gid);
    return place;
  } catch {
    rmSync(place, { recursive: true });
    return undefined;
  }
}

/** One run against a table that the application never lets go of, and a second runner meanwhile. */
async function runAgainstLock(): Promise<Awaited<Context['locked']>> {
  const shared = await share('locked');
  try {
    return await onStage(shared, async (stage) => {
      await stage.application`begin`;
      await stage.application`lock table public.offices in access exclusive mode`;
      const began = Date.now();
      const first = startRunner(stage, ['up', '1-foundation']);
      await blockedRunner(stage.target);
      const second = await runner(stage, ['up', '1-foundation']);
      const ended = await first.ended;
      const seconds = (Date.now() - began) / 1000;
      await stage.application`commit`;
      const [left] = await stage.target<{ rows: number }[]>`
        select (select count(*)::integer from public.offices)
          + (select count(*)::integer from ids.offices) as rows`;
      await stage.settles('locked for long', { phases: 1 });
      return { ended, seconds, second, left: left?.rows ?? -1 };
    });
  } finally {
    await shared.drop();
  }
}

async function slowStatements(target: Sql, seconds: number): Promise<void> {
  await target.unsafe(`
    create function public.slow() returns trigger language plpgsql as $$
    begin perform pg_sleep(${seconds}); return null; end $$;
    create trigger slow before insert on public.teams
      for each statement execute function public.slow()`);
}

async function setForRole({ target, targetUrl }: Stage, setting: string): Promise<void> {
  const name = new URL(targetUrl).pathname.slice(1);
  await target.unsafe(`alter role postgres in database ${name} set ${setting}`);
}

/** The lowest keys of rows that have a text, an order and a template that are there. */
async function keysOf(source: Sql, table: string, count: number): Promise<number[]> {
  const rows = await source<{ id: number }[]>`
    select t.id from ${source(table)} as t
    join dispatch_instruction as i on i.id = t.instruction_id
    join dispatch_patient as p on p.id = i.patient_id and p.doctor_id is not null
    where t.text is not null order by t.id limit ${count}`;
  return rows.map(({ id }) => id);
}
