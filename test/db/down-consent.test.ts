// deadline 240
/* `down` at a terminal: what it would do is shown and taken back; the question holds nobody up. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { entityFile, lastLine, runner, type Scratch, succeed, tinyProject } from '../runner.ts';
import { atTerminal, atWork } from '../terminal.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
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
  test,
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
  test,
  'what has changed while the question stood is said, and stops it',
  async ({ pair, source, target, project }) => {
    const terminal = atWork(pair, project, DOWN);
    await terminal.shows('[y/N]');
    await target`update public.things set note = 'of the application' where legacy_id = 1`;
    terminal.type('y\n');
    const { code, output, screen } = await terminal.ended;
    assert.is(code, 1, output);
    assert.match(output, /\[y\/N\][^]*things +2 +1[^]*has changed since it was shown/);
    assert.match(screen.replace(/‹\d+›/g, ''), /nothing was\s+changed/);
    assert.is(await count(target), 2);
    await source`update things set name = 'three' where id = 2`;
  },
);

atTerminal(test, 'with --force, and n: nothing is done', async ({ pair, target, project }) => {
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

function projectOf(): Scratch {
  return tinyProject({
    'sql/1-one/10_things.sql': entityFile('things', 'things', [
      't.id::integer as legacy_id',
      't.name as name',
    ]),
  });
}
