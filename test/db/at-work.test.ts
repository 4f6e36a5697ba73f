// deadline 240
/* What `status` knows of a run that is at work, that was killed, and of one that has ended. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import {
  entityFile,
  lastLine,
  open,
  runner,
  type Scratch,
  type Started,
  startRunner,
  tinyProject,
  waitFor,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('at work');

test.before(async (context) => {
  context.pair = await testPair({ name: 'at_work', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  context.project = tinyProject({
    'sql/1-one/10_parts.sql': entityFile('parts', 'parts', ['t.name']),
    'sql/2-two/10_things.sql': entityFile('things', 'things', ['t.name']),
  });
  await context.target.unsafe(`
    set role postgres;
    create table public.parts (id uuid primary key, name text);
    create table public.things (id uuid primary key, name text)`);
  await context.target.unsafe('reset role');
  await context.source.unsafe(`
    create table public.parts (id integer primary key, name text);
    create table public.things (id integer primary key, name text);
    grant select on public.parts, public.things to legacy_reader;
    insert into parts select n, 'part ' || n from generate_series(1, 100) as n;
    insert into things select n, 'thing ' || n from generate_series(1, 900) as n`);
});

test.after(async ({ pair, source, target, project }) => {
  project.remove();
  await Promise.all([source.end(), target.end()]);
  await pair.drop();
});

test('before anything: work is pending', async (context) => {
  const { code } = await statusOf(context, '--exit-code');
  assert.is(code, 10);
});

test('a run at work: who, where, how far, from what the server knows of its session', async (context) => {
  const { target } = context;
  await blocked(context, async (first) => {
    const keeper = await waitFor(
      'the keeper says how far it is',
      () => target<{ application_name: string }[]>`
        select application_name from pg_stat_activity
        where datname = current_database() and application_name ~ '^runner up 2-two'`,
    );
    assert.is(keeper.application_name, 'runner up 2-two/things 10pct 0/900');
    const { code, stdout } = await statusOf(context, '--exit-code');
    assert.is(code, 11);
    assert.match(stdout, 'Run 1 (up) is at work: 2-two, things 0 of 900.');
    assert.match(stdout, new RegExp(`10 % of this run · since .*@.*, pid ${first.child.pid}`));
    assert.match(stdout, 'committed so far 100 of 1,000 source rows');
    assert.not.match(stdout, /100(\.00)? %|belong in the target/);
    const { atWork } = lastLine(await statusOf(context, '--json'));
    assert.equal([atWork?.run, atWork?.phase, atWork?.percent], [1, '2-two', 10]);
  });
});

test('killed: said at once, with what is true, and that work is pending', async (context) => {
  const { code, stdout } = await statusOf(context, '--exit-code');
  assert.is(code, 1);
  assert.match(
    stdout,
    /Run 1 \(up\) died after \d\d:\d\d:\d\d, before 2-two was complete; what it had not committed is rolled back\. 1 of 2 phases are complete; `up` goes on with 2-two\./,
  );
  assert.not.match(stdout, 'at work');
  assert.is(lastLine(await statusOf(context, '--json')).died, true);
});

test('a session of ours that is older than the run is no proof of life', async (context) => {
  const { target } = context;
  const other = open(context.pair.targetAdminUrl);
  await other`set application_name = 'runner up 1-one/parts 50pct'`;
  const { stdout } = await statusOf(context);
  assert.match(stdout, 'Run 1 (up) died');
  // the lock itself, by a session that came later: somebody is at work, and it is not run 1
  await other`begin`;
  await other`select pg_advisory_xact_lock(20250401, 1)`;
  const later = await statusOf(context);
  assert.match(later.stdout, 'A runner (up) is at work: 1-one, parts.');
  assert.not.match(later.stdout, 'Run 1 (up) is at work');
  await other.end();
  await target`select 1`;
});

test('--watch ends with the run it has watched', async (context) => {
  let watching: Promise<{ code: number | null; stdout: string }> | undefined;
  await blocked(
    context,
    async () => {
      const started = startRunner(context.pair, ['status', '--watch'], context.project);
      watching = started.ended;
      let seen = '';
      started.child.stdout?.on('data', (chunk: Buffer) => (seen += chunk.toString()));
      await waitFor('it is watched', () =>
        Promise.resolve(seen.includes('is at work') ? [{}] : []),
      );
    },
    false,
  );
  const { code, stdout } = (await watching) ?? { code: -1, stdout: '' };
  assert.is(code, 0);
  assert.match(stdout, /is at work[^]*All 2 phases are complete and balanced/);
});

test('complete and unchanged: 0, and only what the last run saw is called accounted for', async (context) => {
  await context.source`insert into things select n, 'new' from generate_series(1000, 3000) as n`;
  const { code, stdout } = await statusOf(context, '--exit-code');
  assert.is(code, 0);
  assert.match(stdout, 'every source row that run 2 saw is accounted for');
  assert.not.match(stdout, '%');
});

test('a file has changed since: work is pending', async (context) => {
  context.project.edit('sql/2-two/10_things.sql', (text) =>
    text.replace('t.name', "t.name || '' as name"),
  );
  const { code, stdout } = await statusOf(context, '--exit-code');
  assert.is(code, 10);
  assert.match(stdout, '1 files changed since');
});

test('a runner that is refused is told who is at work', async (context) => {
  await blocked(context, async (first) => {
    let log = '';
    first.child.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()));
    await waitFor(
      'the keeper says how far it is',
      () => context.target`
        select from pg_stat_activity
        where datname = current_database() and application_name ~ '^runner up 2-two'`,
    );
    const { code, stderr } = await runner(context.pair, ['up'], context.project);
    assert.is(code, 3);
    // fifteen seconds later: where lines do not move there is one every ten
    assert.match(log, /^\d\d:\d\d:\d\d 2-two things 0\/2,901 0 % · all \d+ %/m);
    assert.match(
      stderr,
      /at work on this target \(up 2-two\/things \d+pct.*\); nothing was changed/,
    );
  });
});

test.run();

function statusOf({ pair, project }: Context, ...options: string[]) {
  return runner(pair, ['status', ...options], project);
}

/** A runner that waits for a lock on the things; killed in the end, or let go on. */
async function blocked(
  { pair, target, project }: Context,
  work: (runner: Started) => Promise<void>,
  killed = true,
): Promise<void> {
  const held = open(pair.targetAdminUrl);
  // against writers only: the runner reads, and stops at its first row
  await held.unsafe('begin; lock table public.things in share mode');
  const started = startRunner(pair, ['up'], project);
  const waits = () => target`
    select from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
    where a.datname = current_database() and a.application_name like 'runner%'
      and not l.granted and l.relation = 'public.things'::regclass`;
  try {
    await waitFor('a runner waits for the things', waits);
    await work(started);
  } finally {
    if (killed) {
      started.child.kill('SIGKILL');
      await started.ended;
      // its server looks after the client every two seconds
      await waitFor('the server has ended its statement', async () =>
        (await waits()).length === 0 ? [{}] : [],
      );
    }
    await held.end();
    await started.ended;
  }
}
