// deadline 240
/* `down` at a terminal: what it would do is shown and taken back; the question holds nobody up. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { lastLine, runner, type Scratch, succeed, tinyProject, waitFor } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** A runner at a terminal of its own. */
interface Terminal {
  /** Waits until the terminal shows this. */
  shows(text: string): Promise<void>;
  type(text: string): void;
  ended: Promise<{ code: number | null; output: string }>;
}

const DOWN = ['down', '1-one'];

const test = suite<Context>('down consent');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'down_consent', source: 'empty' }), {
    project: projectOf(),
  });
  const { pair, source, target, project } = context;
  await source.unsafe(`
    create table public.things (id integer primary key, name text);
    grant select on public.things to legacy_reader;
    insert into things values (1, 'one'), (2, 'two')`);
  await target.unsafe(`
    set role postgres;
    create table public.things (id uuid primary key, legacy_id integer, name text, note text);
    reset role;
    set lock_timeout = '3s'`);
  await migrate(pair, { root: project.root });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

atTerminal(
  'while the question stands rows can be written, and no other runner works',
  async ({ pair, target, project }) => {
    const terminal = atWork(pair, project, DOWN);
    await terminal.shows('[y/N]');
    await target
      .begin(async (sql) => {
        await sql`update public.things set note = 'of the application'`;
        await sql`savepoint looked`;
        const open = await sql`
      select from pg_stat_activity
      where datname = current_database() and application_name = 'runner' and state <> 'idle'`;
        assert.is(open.length, 0, 'a transaction is open');
        const locks = await sql`
      select from pg_locks as l join pg_database as d on d.oid = l.database
      where d.datname = current_database() and l.locktype = 'advisory' and l.classid = 20250401
        and l.objid = 1 and l.granted`;
        assert.is(locks.length, 1, 'the lock of the one runner');
        await sql`rollback to savepoint looked`;
        throw new RolledBack();
      })
      .catch((error: unknown) => {
        if (!(error instanceof RolledBack)) throw error;
      });
    terminal.type('y\n');
    const { code, output } = await terminal.ended;
    assert.is(code, 0, output);
    assert.match(output, /rows to delete[^]*things +2[^]*\[y\/N\][^]*1-one is taken back/);
    assert.is(await count(target), 0);
    await migrate(pair, { root: project.root });
  },
);

atTerminal(
  'what has changed while the question stood is said, and stops it',
  async ({ pair, source, target, project }) => {
    const terminal = atWork(pair, project, DOWN);
    await terminal.shows('[y/N]');
    await target`update public.things set note = 'of the application' where legacy_id = 1`;
    terminal.type('y\n');
    const { code, output } = await terminal.ended;
    assert.is(code, 1, output);
    assert.match(output, /\[y\/N\][^]*things +2 +0 +1[^]*has changed since it was shown/);
    assert.match(output, 'nothing was changed');
    assert.is(await count(target), 2);
    await source`update things set name = 'three' where id = 2`;
  },
);

atTerminal('with --force, and n: nothing is done', async ({ pair, target, project }) => {
  const terminal = atWork(pair, project, [...DOWN, '--force']);
  await terminal.shows('[y/N]');
  terminal.type('n\n');
  const { code, output } = await terminal.ended;
  assert.is(code, 0, output);
  assert.match(output, 'nothing was changed');
  assert.is(await count(target), 2);
});

test('--yes does it in one transaction; what it does is one run of the ledger', async ({
  pair,
  target,
  project,
}) => {
  const before = await runs(target);
  const refused = await runner(pair, [...DOWN, '--yes', '--json'], { root: project.root });
  assert.is(refused.code, 1, refused.stderr);
  assert.is(lastLine<{ verdict: string }>(refused).verdict, 'stopped');
  assert.is(await runs(target), before);
  await succeed(pair, [...DOWN, '--yes', '--force'], { root: project.root });
  assert.is(await runs(target), before + 1);
  assert.is(await count(target), 0);
});

test.run();

class RolledBack extends Error {}

async function count(target: Sql): Promise<number | undefined> {
  const [row] = await target<{ rows: number }[]>`
    select count(*)::integer as rows from public.things`;
  return row?.rows;
}

async function runs(target: Sql): Promise<number> {
  const [row] = await target<{ rows: number }[]>`
    select count(*)::integer as rows from migration.runs`;
  return row?.rows ?? 0;
}

/** A test that needs a pseudo-terminal: Node makes none, python3 does. */
function atTerminal(name: string, body: (context: Context) => Promise<void>): void {
  const there = spawnSync('python3', ['-c', 'import pty']).status === 0;
  if (there) test(name, body);
  else test.skip(`${name}: needs python3 for a pseudo-terminal`);
}

function atWork(pair: TestPair, { root }: Scratch, args: string[]): Terminal {
  const child = spawn(
    'python3',
    [
      ...['-c', TERMINAL, process.execPath, '--import', import.meta.resolve('tsx')],
      ...[join(root, 'runner/index.ts'), ...args],
    ],
    {
      cwd: root,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        ...process.env,
        SOURCE_DATABASE_URL: pair.sourceUrl,
        TARGET_DATABASE_URL: pair.targetUrl,
      },
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  }
  const ended = new Promise<{ code: number | null; output: string }>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code) => done({ code, output }));
  });
  return {
    shows: async (text) => {
      await waitFor(`the terminal shows ${text}`, () =>
        Promise.resolve(output.includes(text) ? [{}] : []),
      );
    },
    type: (text) => child.stdin.write(text),
    ended,
  };
}

/** What is typed comes from its input, what the terminal shows goes to its output. */
const TERMINAL = `
import os, pty, select, signal, sys
signal.alarm(60)
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    ready, _, _ = select.select([terminal, 0], [], [])
    if 0 in ready:
        os.write(terminal, os.read(0, 1024))
    if terminal not in ready:
        continue
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if part == b'':
        break
    os.write(1, part)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

function projectOf(): Scratch {
  return tinyProject({
    'sql/1-one/10_things.sql': `-- For the test.
--
-- target   public.things
-- source   things
-- adopt    none

create view transform.things as
select
  s.id as legacy_key,
  s.id::integer as legacy_id,
  s.name as name
from legacy.things as s;
`,
  });
}
