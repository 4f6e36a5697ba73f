// deadline 300
/*
 * What a person sees of a run, at terminals of 60, 80 and 200 columns, with and without colours, beside
 * what is kept in test/golden/terminal. `GOLDEN=write` keeps what is seen now.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import {
  entityFile,
  neutralProject,
  open,
  type Scratch,
  succeed,
  tinyProject,
  waitFor,
} from '../runner.ts';
import { atTerminal, atWork, sameScreen, type Terminal } from '../terminal.ts';
import { settledRun } from './screens.ts';

interface Context {
  pair: TestPair;
  /** The second project, with a check before the first write that has something to say. */
  project: Scratch;
  target: Sql;
  blocker: Sql;
  /** Two phases; the second fails while `things` holds a name that is too long. */
  tiny: Scratch;
  tinyPair: TestPair;
  source: Sql;
}

/** The last one of its phase. */
const HELD = 'public.contacts';
const BEFORE = 'checks/before/titles.sql';
const CHECK = `-- Titles of films have no blanks around them.
--
-- severity  warning

select
  f.film_id,
  f.title
from legacy.film as f
where f.title <> btrim(f.title);
`;

const PLAIN = { NO_COLOR: '1' };

const test = suite<Context>('transcripts');

test.before(async (context) => {
  context.pair = await testPair({ name: 'screens', source: 'neutral', target: 'neutral' });
  context.project = neutralProject();
  mkdirSync(dirname(join(context.project.root, BEFORE)));
  writeFileSync(join(context.project.root, BEFORE), CHECK);
  context.target = open(context.pair.targetAdminUrl);
  context.blocker = open(context.pair.targetAdminUrl);
  context.tinyPair = await testPair({ name: 'screens', source: 'empty', target: 'empty' });
  context.source = open(context.tinyPair.sourceAdminUrl);
  context.tiny = tinyProject({
    'sql/1-one/10_parts.sql': entityFile('parts', 'parts', ['t.name']),
    'sql/2-two/10_things.sql': entityFile('things', 'things', ['t.name']),
  });
  const target = open(context.tinyPair.targetAdminUrl);
  await target.unsafe(`
    set role postgres;
    create table public.parts (id uuid primary key, name text);
    create table public.things (id uuid primary key, name text check (length(name) < 20))`);
  await target.end();
  await context.source.unsafe(`
    create table public.parts (id integer primary key, name text);
    create table public.things (id integer primary key, name text);
    grant select on public.parts, public.things to legacy_reader;
    insert into parts select n, 'part ' || n from generate_series(1, 20000) as n;
    insert into things select n, 'thing ' || n || case when n < 20 then repeat(' long', 5) else '' end
    from generate_series(1, 500) as n`);
});

test.after(async ({ pair, project, target, blocker, tiny, tinyPair, source }) => {
  tiny.remove();
  project.remove();
  await Promise.all([target.end(), blocker.end(), source.end()]);
  await tinyPair.drop();
  await pair.drop();
});

atTerminal(test, 'a phase fails: what is true, what to do', async ({ tiny, tinyPair }) => {
  const ended = await atWork(tinyPair, tiny, ['up'], { columns: 80, env: PLAIN }).ended;
  assert.is(ended.code, 1, ended.screen);
  same('failed-phase-80', ended.screen, 80);
});

atTerminal(test, 'a phase fails once more, in a narrow and in a wide terminal', async (context) => {
  const { tiny, tinyPair } = context;
  for (const columns of [60, 200]) {
    const ended = await atWork(tinyPair, tiny, ['up'], { columns }).ended;
    assert.is(ended.code, 1, ended.screen);
    same(`failed-phase-again-${columns}-colour`, ended.screen, columns);
  }
});

atTerminal(test, 'the cause is gone: the end of a run', async ({ tiny, tinyPair, source }) => {
  await source`update things set name = 'short' where id < 20`;
  const ended = await atWork(tinyPair, tiny, ['up', '--entities', '--all'], { columns: 200 }).ended;
  assert.is(ended.code, 0, ended.screen);
  same('resumed-200-colour', ended.screen, 200);
  for (const columns of [60, 80, 200]) {
    const again = await atWork(tinyPair, tiny, ['status', '--entities', '--all'], { columns })
      .ended;
    same(`status-complete-${columns}-colour`, again.screen, columns);
  }
});

atTerminal(
  test,
  'each stream for itself: a file gets no colours and nothing that moves',
  async ({ tiny, tinyPair, source }) => {
    const file = join(tiny.root, 'kept');
    await source`insert into things values (1001, 'new')`;
    const log = await atWork(tinyPair, tiny, ['up'], { redirect: `2> ${file}` }).ended;
    assert.match(log.output, '\u001b[32m');
    assert.match(log.screen, /phase +entities[^]*All 2 phases/);
    const kept = readFileSync(file, 'utf8');
    assert.not.match(kept, '\u001b');
    assert.match(kept, /^run \d+ · up .*\n✓ 2-two .*1 new .*\n$/);
    await source`insert into things values (1002, 'newer')`;
    const table = await atWork(tinyPair, tiny, ['up'], { redirect: `> ${file}` }).ended;
    assert.match(table.output, '\u001b[32m✓');
    assert.match(table.output, '\u001b[J');
    assert.not.match(readFileSync(file, 'utf8'), '\u001b');
    assert.match(readFileSync(file, 'utf8'), 'All 2 phases');
    const forced = await atWork(tinyPair, tiny, ['status'], {
      redirect: `> ${file}`,
      env: { FORCE_COLOR: '1' },
    }).ended;
    assert.is(forced.code, 0);
    assert.match(readFileSync(file, 'utf8'), '\u001b[32m');
  },
);

atTerminal(
  test,
  'a run is at work: its screen, that of status, a second runner',
  async (context) => {
    const { pair, project } = context;
    await succeed(pair, ['up', '1-catalogue'], { root: project.root });
    await blocked(context, async (first) => {
      await first.shows('contacts');
      await seen(context, /^runner up 2-customers\/contacts_\w+ \d+pct/);
      same('at-work-80', first.screen(), 80);
      for (const columns of [40, 80]) {
        const status = await atWork(pair, project, ['status'], { columns, env: PLAIN }).ended;
        assert.is(status.code, 0, status.screen);
        same(`status-at-work-${columns}`, status.screen, columns);
      }
      const second = await atWork(pair, project, ['up'], { env: PLAIN }).ended;
      assert.is(second.code, 3, second.screen);
      same('second-runner-80', second.screen, 80);
      first.type('\u0003');
      const { code, screen } = await first.ended;
      assert.is(code, 130, screen);
      same('interrupted-80', screen, 80);
    });
  },
);

atTerminal(test, 'killed: status knows, and says what is true', async (context) => {
  const { pair, project } = context;
  await blocked(context, async (first) => {
    await first.shows('contacts');
    const [runner] = await context.target<{ pid: number }[]>`
      select (options ->> 'pid')::integer as pid from migration.runs order by run desc limit 1`;
    process.kill(runner?.pid ?? 0, 'SIGKILL');
    await first.ended;
    // the statement in flight waits for the lock: its server notices after two seconds
    await waitFor(
      'the server has ended what the dead runner left',
      () => context.target`
        select where not exists (
          select from pg_stat_activity
          where datname = current_database() and application_name ~ '^runner')`,
    );
  });
  for (const [name, env] of [
    ['', PLAIN],
    ['-colour', {}],
  ] as const) {
    const status = await atWork(pair, project, ['status'], { env }).ended;
    same(`status-died-80${name}`, status.screen, 80);
  }
});

atTerminal(test, 'a first run, and one with nothing to do', async ({ project }) => {
  const pair = await testPair({ name: 'screens', source: 'neutral', target: 'neutral' });
  const source = open(pair.sourceAdminUrl);
  try {
    // what the target refuses is read by every run
    await source`update rental set returned_at = null where rental_id = 2220`;
    const first = await atWork(pair, project, ['up'], { env: PLAIN }).ended;
    assert.is(first.code, 0, first.screen);
    same('first-run-80', first.screen, 80);
    const again = await atWork(pair, project, ['up'], { env: PLAIN }).ended;
    assert.is(again.code, 0, again.screen);
    assert.is(again.screen.trim().split('\n').length, 4, again.screen);
    same('nothing-to-do-80', again.screen, 80);
  } finally {
    await source.end();
    await pair.drop();
  }
});

test.run();

/** A runner at a terminal that waits for a lock on a table. */
async function blocked(
  { pair, project, target, blocker }: Context,
  work: (runner: Terminal) => Promise<void>,
): Promise<void> {
  const held = await blocker.reserve();
  // against writers only: the runner reads, and stops at its first row
  await held.unsafe(`begin; lock table ${HELD} in share mode`);
  const started = atWork(pair, project, ['up'], { env: PLAIN });
  let over = false;
  const watched = started.ended.then(() => (over = true));
  try {
    await waitFor(
      'a runner waits for the table',
      () => target`
        select from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
        where a.datname = current_database() and a.application_name like 'runner%'
          and not l.granted and l.relation = ${HELD}::regclass`,
      60,
    );
    await work(started);
  } finally {
    // the end of its terminal is the end of the runner
    if (started.pid !== undefined && !over) process.kill(started.pid, 'SIGKILL');
    await held.unsafe('rollback');
    held.release();
    await watched;
  }
}

/** Waits until another session sees a runner under such a name. */
async function seen({ target }: Context, name: RegExp): Promise<string> {
  const { application_name: found } = await waitFor(
    `a session is called ${name.source}`,
    () => target<{ application_name: string }[]>`
      select application_name from pg_stat_activity
      where datname = current_database() and application_name ~ ${name.source}`,
  );
  return found;
}

function same(name: string, screen: string, columns: number): void {
  sameScreen(name, screen, columns, settledRun);
}
