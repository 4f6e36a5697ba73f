// deadline 180
/* A source that is read from a streaming standby: a second server, which replays what the first does. */
import { spawnSync } from 'node:child_process';
import { chownSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connected, grantReader } from '../../runner/embedded/pair.ts';
import { removeServer, type Server, startServer } from '../../runner/embedded/server.ts';
import { errorOf, migrate, rowsRead, rowsWritten } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import {
  type Dump,
  entityFile,
  open,
  ROOT,
  sameDump,
  type Scratch,
  tinyProject,
  waitFor,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  target: Sql;
  project: Scratch;
  primary: Server;
  standby: Server;
}

/** Enough for reading by keys. */
const ROWS = 6000;
const DIRECTORY = join(ROOT, '.embedded', `standby-${process.pid}`);
// a copy of the files needs whole pages, and the standby the WAL that was written since; what is
// committed here is written
const SETTINGS = {
  autovacuum: 'off',
  synchronous_commit: 'local',
  shared_buffers: '32MB',
  full_page_writes: 'on',
  wal_level: 'replica',
  wal_keep_size: '256MB',
};

const PROJECT = {
  'sql/1-things/10_things.sql': entityFile(
    'things',
    'thing',
    ['t.id as legacy_id', 't.name as name', 'k.name as kind'],
    {
      header: '-- deletes  remove\n',
      joins: ['left join legacy.kind as k on k.id = t.kind_id'],
    },
  ),
};

const test = suite<Context>('standby');

test.before(async (context) => {
  context.project = tinyProject(PROJECT);
  context.pair = await testPair({ name: 'standby', source: 'empty' });
  context.target = open(context.pair.targetAdminUrl);
  await context.target.unsafe(`
    create table public.things (id uuid primary key, legacy_id bigint, name text, kind text);
    alter table public.things owner to postgres`);
  context.primary = await startServer({
    ...{ major: 17, admin: 'legacy_admin', roles: ['legacy_reader'], settings: SETTINGS },
    directory: join(DIRECTORY, 'primary'),
    prepare: fill,
  });
  context.standby = await standbyOf(context.primary);
});

test.after(async ({ pair, target, project, primary, standby }) => {
  // the standby may not have come to be
  for (const server of [standby, primary] as (Server | undefined)[])
    await server?.stop('immediate');
  removeServer(standbyDirectory(primary));
  removeServer(join(DIRECTORY, 'primary'));
  rmSync(DIRECTORY, { recursive: true, force: true });
  project.remove();
  await target.end();
  await pair.drop();
});

test('a standby that cannot be written to is read', async (context) => {
  const error = await errorOf(asAdmin(context.standby, (sql) => sql`delete from thing`));
  assert.match(error.message, /read-only transaction/);
  const { read, remarks } = await upFrom(context, context.standby);
  assert.equal(read, { things: ROWS });
  assert.equal(remarks, []);
  assert.equal(await upFrom(context, context.standby), NOTHING);
});

test('what the primary does is replayed: just the changed rows are read', async (context) => {
  const { primary, standby } = context;
  await asAdmin(primary, async (sql) => {
    await sql`update thing set name = 'changed' where id in (3, 5)`;
    await sql`insert into thing values (${ROWS + 1}, 'new', 1)`;
    await sql`delete from thing where id = 7`;
    // a value that is another one and the first again
    await sql`update thing set name = 'B' where id = 9`;
    await sql`update thing set name = 'thing 9' where id = 9`;
  });
  await replayed(primary, standby);
  const { read, written, remarks } = await upFrom(context, standby);
  assert.equal(read, { things: 4 });
  assert.equal(written, { things: '1 2 0 1' });
  assert.equal(remarks, []);
  assert.equal(await upFrom(context, standby), NOTHING);
});

test('a look-up that changed in the primary leads to its rows', async (context) => {
  const { primary, standby } = context;
  await asAdmin(primary, (sql) => sql`update kind set name = 'looked up' where id = 2`);
  await replayed(primary, standby);
  const [of] = await asAdmin(
    primary,
    (sql) => sql<{ count: number }[]>`
      select count(*)::integer as count from thing where kind_id = 2`,
  );
  const { written, remarks } = await upFrom(context, standby);
  assert.equal(written, { things: `0 ${of?.count} 0 0` });
  assert.equal(remarks, []);
});

test('primary and standby are one history: one after the other, nothing is read', async (context) => {
  const { primary, standby } = context;
  assert.equal(await upFrom(context, primary), NOTHING);
  assert.equal(await upFrom(context, standby), NOTHING);
});

test('promoted, it is another history: everything is compared, and that is said', async (context) => {
  const { primary, standby } = context;
  // what the primary does from here on, the standby never sees
  await primary.stop();
  await asAdmin(standby, (sql) => sql`select pg_promote()`);
  const { read, written, remarks } = await upFrom(context, standby);
  assert.equal(read, { things: ROWS });
  assert.equal(written, {});
  assert.is(remarks.length, 1);
  assert.match(
    remarks[0] ?? '',
    /the source is not the server, or not the history, of the last run/,
  );
  assert.equal(await upFrom(context, standby), NOTHING);
});

test('promoted, it is written to and read like any source', async (context) => {
  const { standby } = context;
  await asAdmin(standby, (sql) => sql`update thing set name = 'after' where id = 11`);
  const { read, written } = await upFrom(context, standby);
  assert.equal([read, written], [{ things: 1 }, { things: '0 1 0 0' }]);
});

test.run();

const NOTHING = { read: {}, written: {}, remarks: [] };

/** Runs `up` from a server; the target must then hold what that server holds. */
async function upFrom({ pair, target, project }: Context, server: Server) {
  const remarks: string[] = [];
  const run = await migrate(
    { sourceUrl: server.url('legacy_reader', 'legacy'), targetUrl: pair.targetUrl },
    {
      root: project.root,
      phases: 1,
      remark: (line) => {
        remarks.push(line);
      },
    },
  );
  const there = await asAdmin(
    server,
    (sql) => sql<{ line: string }[]>`
      select concat_ws(' | ', t.id, t.name, k.name) as line
      from thing as t left join kind as k on k.id = t.kind_id order by 1`,
  );
  const here = await target<{ line: string }[]>`
    select concat_ws(' | ', legacy_id, name, kind) as line from public.things order by 1`;
  sameDump(linesOf(here), linesOf(there), 'as the source says');
  return {
    read: await rowsRead(target, run),
    written: await rowsWritten(target, run),
    remarks,
  };
}

function linesOf(rows: readonly { line: string }[]): Dump {
  return new Map([['things', rows.map(({ line }) => line)]]);
}

async function fill(server: Server): Promise<void> {
  const { password } = new URL(server.url('legacy_reader', 'legacy'));
  await connected(server.adminUrl(), async (sql) => {
    await sql.unsafe(`create role legacy_reader login password '${password}'`);
    await sql`create database legacy`;
  });
  await grantReader(server.adminUrl('legacy'));
  await asAdmin(server, (sql) =>
    sql.unsafe(`
      create table kind (id integer primary key, name text);
      create table thing (id integer primary key, name text, kind_id integer);
      insert into kind select n, 'kind ' || n from generate_series(1, 3) as n;
      insert into thing select n, 'thing ' || n, 1 + n % 3 from generate_series(1, ${ROWS}) as n`),
  );
}

/** A copy of a running server's files that follows it, as pg_basebackup makes it. */
async function standbyOf(primary: Server): Promise<Server> {
  const directory = standbyDirectory(primary);
  const admin = open(primary.adminUrl());
  await admin`select pg_backup_start('standby', true)`;
  const copied = spawnSync('cp', ['-a', primary.directory, directory], { encoding: 'utf8' });
  assert.is(copied.status, 0, copied.stderr);
  const [backup] = await admin<{ label: string }[]>`
    select labelfile as label from pg_backup_stop(false)`;
  await admin.end();
  rmSync(join(directory, 'data', 'postmaster.pid'));
  rmSync(join(directory, 'lock'), { force: true });
  const { uid, gid } = statSync(join(directory, 'data'));
  for (const [name, text] of Object.entries({
    backup_label: backup?.label ?? '',
    'standby.signal': '',
  })) {
    writeFileSync(join(directory, 'data', name), text);
    chownSync(join(directory, 'data', name), uid, gid);
  }
  const { hostname, port, username, password } = new URL(primary.adminUrl());
  return startServer({
    ...{ major: 17, admin: 'legacy_admin', roles: ['legacy_reader'], directory },
    settings: {
      ...SETTINGS,
      primary_conninfo: `host=${hostname} port=${port} user=${username} password=${password}`,
    },
  });
}

/** Beside the primary: where that can be reached by the server's account, so can this. */
function standbyDirectory(primary: Server): string {
  return `${primary.directory}-standby`;
}

/** Waits until a standby has replayed what its primary has written. */
async function replayed(primary: Server, standby: Server): Promise<void> {
  const [end] = await asAdmin(
    primary,
    (sql) => sql<{ lsn: string }[]>`select pg_current_wal_flush_lsn()::text as lsn`,
  );
  const watch = open(standby.adminUrl('legacy'));
  await waitFor(
    'the standby has replayed what the primary wrote',
    () => watch`select where pg_last_wal_replay_lsn() >= ${end?.lsn ?? ''}::text::pg_lsn`,
  );
  await watch.end();
}

async function asAdmin<Rows>(
  server: Server,
  work: (sql: Sql) => PromiseLike<Rows> | Promise<Rows>,
): Promise<Rows> {
  const sql = open(server.adminUrl('legacy'));
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}
