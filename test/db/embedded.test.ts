// deadline 180
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import postgres, { type Sql } from 'postgres';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadPlatform, removePair, startPair, type Pair } from '../../runner/embedded/pair.ts';
import { binaries, restoreLinks } from '../../runner/embedded/binaries.ts';
import { isAlive } from '../../runner/embedded/machine.ts';
import { removeServer, startServer, type Server } from '../../runner/embedded/server.ts';
import { testPair } from '../pair.ts';

const EMBEDDED = new URL('../../runner/embedded/pair.ts', import.meta.url).href;
const ROOT = fileURLToPath(new URL(`../../.embedded/test-${process.pid}/own/`, import.meta.url));
const PAIR = join(ROOT, 'pair');

let pair: Pair;

test.before(async () => {
  pair = await startPair({ directory: PAIR, scale: null });
});

test.after(async () => {
  await pair.stop();
  removePair(PAIR);
  rmSync(dirname(ROOT), { recursive: true });
});

async function query<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

async function failure(url: string, statement: string): Promise<string> {
  return await query(url, (sql) => sql.unsafe(statement)).then(
    () => 'no error',
    (error: { code?: string }) => error.code ?? 'an error without a code',
  );
}

function messageOf(error: Error): string {
  return error.message;
}

function postmaster(server: Server): number {
  return Number(
    readFileSync(join(server.directory, 'data', 'postmaster.pid'), 'utf8').split('\n')[0],
  );
}

async function untilGone(pids: number[]): Promise<void> {
  for (let tick = 0; tick < 100 && pids.some(isAlive); tick++) await sleep(100);
  assert.equal(pids.filter(isAlive), []);
}

test('nobody gets in without the right password', async () => {
  const urls = [pair.sourceUrl, pair.targetUrl, pair.sourceAdminUrl, pair.targetAdminUrl];
  for (const url of urls) {
    assert.is(await failure(url, 'select 1'), 'no error');
    const wrong = new URL(url);
    wrong.password = 'wrong';
    assert.is(await failure(wrong.href, 'select 1'), '28P01');
    wrong.password = '';
    assert.is.not(await failure(wrong.href, 'select 1'), 'no error');
  }
  for (const url of [pair.sourceAdminUrl, pair.targetAdminUrl]) {
    const rules = await query(
      url,
      (sql) => sql`select distinct auth_method from pg_hba_file_rules`,
    );
    assert.equal([...rules], [{ auth_method: 'scram-sha-256' }]);
  }
});

test('the target role owns its database and is no superuser', async () => {
  const [found] = await query(
    pair.targetUrl,
    (sql) => sql`
      select current_user as role, rolsuper as super, rolbypassrls as bypassrls,
             pg_get_userbyid(datdba) as owner, current_setting('search_path') as path
      from pg_roles cross join pg_database
      where rolname = current_user and datname = current_database()`,
  );
  assert.equal(found, {
    role: 'postgres',
    super: false,
    bypassrls: true,
    owner: 'postgres',
    path: '"$user", public, extensions',
  });
});

test('databases of one server are prepared at the same time', async () => {
  const admin = pair.targetAdminUrl;
  const names = ['one', 'two', 'three'];
  for (const name of names) await query(admin, (sql) => sql`create database ${sql(name)}`);
  await Promise.all(names.map((name) => loadPlatform(new URL(`/${name}`, admin).href)));
  for (const name of names) await query(admin, (sql) => sql`drop database ${sql(name)}`);
});

test('the reader reads every table, also a later one, and writes nothing', async () => {
  await query(pair.sourceAdminUrl, async (sql) => {
    await sql`create table later (n integer)`;
    await sql`insert into later values (7)`;
  });
  const rows = await query(pair.sourceUrl, (sql) => sql`select n from later`);
  assert.equal([...rows], [{ n: 7 }]);
  for (const statement of [
    'insert into later values (8)',
    'update later set n = 8',
    'delete from later',
    'truncate later',
    'drop table later',
    'create table mine (n integer)',
    'create temp table mine (n integer)',
    'create schema mine',
  ]) {
    assert.is(await failure(pair.sourceUrl, statement), '42501', statement);
  }
});

test('a second start uses the running servers and leaves them to the first', async () => {
  const second = await startPair({ directory: PAIR });
  assert.is(second.sourceUrl, pair.sourceUrl);
  assert.is(second.targetUrl, pair.targetUrl);
  await second.stop();
  assert.is(await failure(pair.targetUrl, 'select 1'), 'no error');
});

test('stopped servers start again on the same data', async () => {
  await query(pair.targetUrl, (sql) => sql`create table kept as select 42 as n`);
  await pair.stop();
  assert.is.not(await failure(pair.targetUrl, 'select 1'), 'no error');
  pair = await startPair({ directory: PAIR });
  assert.equal([...(await query(pair.targetUrl, (sql) => sql`select n from kept`))], [{ n: 42 }]);
});

test('data of another scale is refused, not overwritten', async () => {
  const refused = await startPair({ directory: PAIR, scale: '1' }).then(
    () => 'it started',
    messageOf,
  );
  assert.match(refused, /holds PostgreSQL .*"scale":null.*remove the directory/);
  assert.is(await failure(pair.targetUrl, 'table kept'), 'no error');
});

test('a pair ends with the process that started it, even by SIGKILL', async () => {
  const directory = join(ROOT, 'killed');
  const script = `
    import { startPair } from ${JSON.stringify(EMBEDDED)};
    await startPair({ directory: ${JSON.stringify(directory)}, scale: null });
    console.log('ready');
    setInterval(() => {}, 1000);`;
  const child = spawn(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), '--input-type=module', '--eval', script],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(child.stdout, 'data');
  const left = await startPair({ directory });
  const pids = [postmaster(left.source), postmaster(left.target)];
  assert.equal(pids.filter(isAlive), pids);

  child.kill('SIGKILL');
  await untilGone(pids);
  removePair(directory);
});

test('a server follows its settings, its port and an immediate stop', async () => {
  const options = { major: 17, directory: join(ROOT, 'alone') } as const;
  const first = await startServer({ ...options, settings: { work_mem: '7MB' } });
  const [row] = await query(first.adminUrl(), (sql) => sql`show work_mem`);
  assert.equal(row, { work_mem: '7MB' });
  const pid = postmaster(first);
  await first.stop('immediate');
  assert.not(isAlive(pid));

  const again = await startServer({ ...options, port: first.port });
  assert.is(again.adminUrl(), first.adminUrl());
  assert.match(readFileSync(again.logFile, 'utf8'), 'automatic recovery in progress');
  await again.stop();
  removeServer(options.directory);
});

test('data that was not completed is made anew', async () => {
  const directory = join(ROOT, 'half');
  const prepare = async (server: Server): Promise<void> => {
    await query(server.adminUrl(), (sql) => sql`create table made ()`);
  };
  const broken = startServer({
    major: 17,
    directory,
    prepare: async (server) => {
      await prepare(server);
      throw new Error('power cut');
    },
  });
  assert.is(await broken.then(() => 'it started', messageOf), 'power cut');
  assert.ok(readdirSync(join(directory, 'data')).includes('PG_VERSION'));

  const server = await startServer({ major: 17, directory, prepare });
  assert.is(await failure(server.adminUrl(), 'table made'), 'no error');
  await server.stop();
  removeServer(directory);
});

test('rests of a killed initdb and of its lock do no harm', async () => {
  const directory = join(ROOT, 'rests');
  mkdirSync(join(directory, 'data', 'base'), { recursive: true });
  writeFileSync(join(directory, 'data', 'PG_VERSION'), '17\n');
  writeFileSync(join(directory, 'password'), 'old', { mode: 0o600 });
  const { pid } = spawnSync('true');
  writeFileSync(join(directory, 'lock'), String(pid));

  const started = Date.now();
  const server = await startServer({ major: 17, directory });
  assert.is(await failure(server.adminUrl(), 'select 1'), 'no error');
  await server.stop();
  assert.ok(Date.now() - started < 10_000, 'the lock of a dead process was waited for');
  assert.equal(readdirSync(directory).toSorted(), ['data', 'server.log', 'state.json']);

  // a restart of the machine: the number in postmaster.pid is now that of another process
  writeFileSync(join(directory, 'data', 'postmaster.pid'), `${process.pid}\n`);
  const again = await startServer({ major: 17, directory });
  assert.is(await failure(again.adminUrl(), 'select 1'), 'no error');
  await again.stop();
  removeServer(directory);
});

test('symbolic links that npm did not create are created, by several at once', async () => {
  const native = join(ROOT, 'native');
  const original = dirname(binaries(17, {}));
  for (const part of ['bin', 'pg-symlinks.json']) {
    cpSync(join(original, part), join(native, part), { recursive: true });
  }
  // links are left out, as in an npm package
  for (const entry of readdirSync(join(original, 'lib'), { withFileTypes: true })) {
    const path = join('lib', entry.name);
    if (entry.isFile()) cpSync(join(original, path), join(native, path));
  }
  const initdb = join(native, 'bin', 'initdb');
  assert.is.not(spawnSync(initdb, ['--version']).status, 0);

  const code = `
    import { restoreLinks } from ${JSON.stringify(EMBEDDED.replace('pair.ts', 'binaries.ts'))};
    restoreLinks(${JSON.stringify(native)});`;
  const others = [1, 2].map(() =>
    once(
      spawn(
        process.execPath,
        ['--import', import.meta.resolve('tsx'), '--input-type=module', '--eval', code],
        { stdio: 'inherit' },
      ),
      'exit',
    ),
  );
  restoreLinks(native);
  assert.equal(await Promise.all(others), [
    [0, null],
    [0, null],
  ]);
  assert.is(spawnSync(initdb, ['--version']).status, 0);
  rmSync(native, { recursive: true });
});

const testAsRoot: typeof test.skip = (name, body) =>
  process.getuid?.() === 0 && body && name ? test(name, body) : test.skip(name);

testAsRoot('root puts data where the unprivileged account can reach it', async () => {
  const closed = join(ROOT, 'closed');
  mkdirSync(closed, { mode: 0o700 });
  const directory = join(closed, 'server');
  const server = await startServer({ major: 17, directory });
  assert.not(server.directory.startsWith(ROOT));
  assert.is(await failure(server.adminUrl(), 'select 1'), 'no error');
  await server.stop();
  removeServer(directory);
  assert.throws(() => readdirSync(server.directory), /ENOENT/);
});

test('databases of a test are its own, with the rights of the real ones', async () => {
  const [one, two] = await Promise.all([
    testPair({ name: 'one', source: 'neutral', target: 'neutral' }),
    testPair({ name: 'two', source: 'neutral', target: 'neutral' }),
  ]);
  await query(one.targetUrl, (sql) => sql`insert into languages (name) values ('only here')`);
  const count = (sql: Sql) => sql`select count(*)::int as n from languages`;
  assert.equal([...(await query(one.targetUrl, count))], [{ n: 1 }]);
  assert.equal([...(await query(two.targetUrl, count))], [{ n: 0 }]);

  const [target] = await query(
    one.targetUrl,
    (sql) => sql`
      select current_setting('search_path') as path, pg_get_userbyid(datdba) as owner,
             (select array_agg(distinct tableowner::text) from pg_tables
              where schemaname = 'public') as table_owners
      from pg_database where datname = current_database()`,
  );
  assert.equal(target, {
    path: '"$user", public, extensions',
    owner: 'postgres',
    table_owners: ['postgres'],
  });
  assert.is(await failure(one.sourceUrl, 'table language'), 'no error');
  assert.is(await failure(one.sourceUrl, 'delete from language'), '42501');
  assert.is(await failure(one.sourceUrl, 'create temp table mine ()'), '42501');

  await one.drop();
  assert.is(await failure(one.targetUrl, 'select 1'), '3D000');
  assert.is(await failure(one.sourceUrl, 'select 1'), '3D000');
  await two.drop();
});

test.run();
