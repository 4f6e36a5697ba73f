// deadline 300
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseUrl } from '../../runner/config.ts';
import { connect, CouldNotConnect, type Session } from '../../runner/database.ts';
import { removeServer, startServer } from '../../runner/embedded/server.ts';
import { startProxy } from '../faults/proxy.ts';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import { type Databases, type Ended, open, ROOT, startRunner } from '../runner.ts';

/* Connections that cannot be made: what is said, what to do, what is true now. */

interface Context {
  pair: TestPair;
  target: Sql;
  source: Sql;
}

/** Roles that no server lets in; their password is right. */
const OUTSIDERS = `
  create role connect_no_login nologin password 'hunter2';
  create role connect_no_slot login password 'hunter2' connection limit 0;
  create role connect_not_here login password 'hunter2'`;
const ROLES = ['connect_no_login', 'connect_no_slot', 'connect_not_here'];

const OF = { root: NEUTRAL };

/** In a process of its own: its last words and its exit code are what this is about. */
function runner(urls: Databases, args: string[]): Promise<Ended> {
  return startRunner(urls, args, OF).ended;
}

const test = suite<Context>('connect');

test.before(async (context) => {
  context.pair = await testPair({ name: 'connect', source: 'neutral', target: 'neutral' });
  context.target = open(context.pair.targetAdminUrl);
  context.source = open(context.pair.sourceAdminUrl);
  await context.target.unsafe(OUTSIDERS);
  await context.target.unsafe(`revoke connect on database ${nameOf(context)} from public`);
  await context.source.unsafe(OUTSIDERS);
});

test.after(async ({ pair, target, source }) => {
  for (const role of ROLES) {
    await target.unsafe(`drop role ${role}`);
    await source.unsafe(`drop role ${role}`);
  }
  await target.end();
  await source.end();
  await pair.drop();
});

interface Way {
  what: string;
  /** The wrong address, of target or source. */
  change: (url: URL) => void;
  /** SQLSTATE or name of the error, where Node connects; libpq has none. */
  code: RegExp;
  cause: RegExp;
  /** What to do; `SIDE` = TARGET or SOURCE. */
  fix: string;
}

const WAYS: Way[] = [
  {
    what: 'wrong password',
    change: (url) => (url.password = 'hunter2'),
    code: /28P01/,
    cause: /password authentication failed/,
    fix: 'correct user and password in SIDE_DATABASE_URL',
  },
  {
    what: 'a role that may not log in',
    change: (url) => into(url, 'connect_no_login'),
    code: /28000/,
    cause: /is not permitted to log in/,
    fix: 'login password',
  },
  {
    what: 'no database of that name',
    change: (url) => (url.pathname = '/nowhere'),
    code: /3D000/,
    cause: /database "nowhere" does not exist/,
    fix: 'correct the name of the database in SIDE_DATABASE_URL',
  },
  {
    what: 'a role without CONNECT',
    change: (url) => into(url, 'connect_not_here'),
    code: /42501/,
    cause: /permission denied for database/,
    fix: 'grant connect on database',
  },
  {
    what: 'no connection left',
    change: (url) => into(url, 'connect_no_slot'),
    code: /53300/,
    cause: /too many connections for role/,
    fix: 'connection limit',
  },
  {
    what: 'unknown host',
    change: (url) => (url.hostname = 'no-such-host.invalid'),
    code: /ENOTFOUND|EAI_AGAIN/,
    cause: /no-such-host\.invalid/,
    fix: 'correct the host in SIDE_DATABASE_URL',
  },
  {
    what: 'refused port',
    change: (url) => (url.port = '1'),
    code: /ECONNREFUSED/,
    cause: /nothing listens there/,
    fix: 'is the server up, and is the port',
  },
  {
    what: 'TLS wanted, not offered',
    change: (url) => url.searchParams.set('sslmode', 'require'),
    code: /TLS_REFUSED/,
    cause: /offers no TLS/,
    fix: '?sslmode=disable in SIDE_DATABASE_URL',
  },
];

for (const { what, change, code, cause, fix } of WAYS) {
  test(`target, ${what}: exit 5, nothing was sent, and what to do`, async ({ pair }) => {
    const urls = { ...pair, targetUrl: changed(pair.targetUrl, change) };
    const end = await runner(urls, ['status']);
    assert.is(end.code, 5, end.stderr);
    for (const part of [/could not connect to the target/, code, cause, /nothing was sent/]) {
      assert.match(end.stderr, part);
    }
    assert.match(end.stderr.split('fix: ')[1] ?? '', fix.replace('SIDE', 'TARGET'));
    assert.not.match(end.stderr, /run the same command again|outcome/);
    withoutPassword(end, urls);
  });

  test(`source, ${what}: exit 5, no row was changed, and what to do`, async ({ pair }) => {
    const urls = { ...pair, sourceUrl: changed(pair.sourceUrl, change) };
    const end = await runner(urls, ['plan']);
    assert.is(end.code, 5, end.stderr);
    assert.match(end.stderr, /the target could not connect to the source/);
    assert.match(end.stderr, cause);
    assert.match(end.stderr, /no row was changed/);
    assert.match(end.stderr.split('fix: ')[1] ?? '', fix.replace('SIDE', 'SOURCE'));
    withoutPassword(end, urls);
  });
}

test('doctor: a connection that cannot be made is its first finding, with the fix', async ({
  pair,
}) => {
  const urls = { ...pair, targetUrl: changed(pair.targetUrl, (url) => (url.port = '1')) };
  const [text, json] = await Promise.all([
    runner(urls, ['doctor']),
    runner(urls, ['doctor', '--json']),
  ]);
  assert.is(text.code, 1, text.stderr);
  assert.match(
    text.stdout,
    /^ERROR +connection to the target: [^]*ECONNREFUSED[^]*\n +fix: is the /,
  );
  assert.is(json.code, 1, json.stderr);
  const [first] = findingsOf(json.stdout);
  assert.is(first?.what, 'connection to the target');
  assert.is(first?.state, 'error');
});

test('doctor: the advice for the source fits the cause', async ({ pair }) => {
  const finding = async (change: (url: URL) => void) => {
    const urls = { ...pair, sourceUrl: changed(pair.sourceUrl, change) };
    const { code, stdout, stderr } = await runner(urls, ['doctor', '--json']);
    assert.is(code, 1, stderr);
    const found = findingsOf(stdout).filter(({ state }) => state === 'error');
    assert.equal(
      found.map(({ what }) => what),
      ['connection to the source'],
    );
    return found[0]?.fix ?? '';
  };
  const [password, port] = await Promise.all([
    finding((url) => (url.password = 'hunter2')),
    finding((url) => (url.port = '1')),
  ]);
  assert.match(password, 'SOURCE_DATABASE_URL');
  assert.not.match(password, 'SOURCE_HOST_FROM_TARGET');
  assert.match(port, 'SOURCE_PORT_FROM_TARGET');
});

test('up, wrong password of the source: exit 5, no row was changed', async ({ pair, target }) => {
  const urls = { ...pair, sourceUrl: changed(pair.sourceUrl, (url) => (url.password = 'hunter2')) };
  const end = await runner(urls, ['up']);
  assert.is(end.code, 5, end.stderr);
  assert.match(end.stderr, /password authentication failed[^]*no row was changed[^]*fix: correct/);
  withoutPassword(end, urls);
  const [run] = await target`select status, error from migration.runs`;
  assert.is(run?.['status'], 'failed');
  assert.not.match(String(run?.['error']), 'hunter2');
});

test('schema status: exit 5, and what to do', async ({ pair }) => {
  for (const { change, cause, fix } of WAYS.filter(({ what }) => /password|TLS/.test(what))) {
    const urls = { ...pair, targetUrl: changed(pair.targetUrl, change) };
    const end = await runner(urls, ['schema', 'status']);
    assert.is(end.code, 5, end.stderr);
    assert.match(end.stderr, cause);
    assert.match(end.stderr.split('fix: ')[1] ?? '', fix.replace('SIDE', 'TARGET'));
    withoutPassword(end, urls);
  }
});

test('a server that accepts and closes: ends at once, nothing was sent', async ({ pair }) => {
  const proxy = await startProxy({ port: Number(new URL(pair.targetUrl).port) });
  proxy.cutBefore('request', 1);
  const targetUrl = changed(pair.targetUrl, (url) => (url.port = String(proxy.port)));
  const { child, ended } = startRunner({ ...pair, targetUrl }, ['status'], OF);
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  const end = await ended;
  clearTimeout(timer);
  await proxy.stop();
  assert.is(end.code, 5, end.stderr);
  assert.match(end.stderr, /closed the connection.*nothing was sent/);
});

test('a connection that is cut while it is made is one that could not be made, at every message', async ({
  pair,
}) => {
  const proxy = await startProxy({ port: Number(new URL(pair.targetUrl).port) });
  const endpoint = parseUrl(changed(pair.targetUrl, (url) => (url.port = String(proxy.port))));
  if (typeof endpoint === 'string') throw new Error(endpoint);
  // what the driver asks on its own fails without a word: an error of it would end this process
  const tried = { cut: 0, made: 0 };
  for (const kind of ['request', 'reply'] as const) {
    for (let n = 1; n <= 7; n += 1) {
      proxy.cutBefore(kind, n);
      const end = await connect(endpoint, 'runner').catch((error: unknown) => error);
      if (!proxy.counts().cut) {
        await (end as Session).close();
        tried.made += 1;
        continue;
      }
      assert.instance(end, CouldNotConnect);
      tried.cut += 1;
    }
  }
  await proxy.stop();
  assert.ok(tried.cut >= 8 && tried.made > 0, JSON.stringify(tried));
});

const withoutOpenssl = spawnSync('openssl', ['version']).status !== 0;
const TLS = 'TLS: a certificate that is not trusted, for another host, or not there';
if (withoutOpenssl) test.skip(`${TLS}: needs openssl`);
else {
  test(TLS, () =>
    onTlsServer(async (url, certificate) => {
      const ways: [string, Record<string, string>, number, RegExp][] = [
        ['127.0.0.1', { sslmode: 'require' }, 0, /^$/],
        ['127.0.0.1', { sslmode: 'verify-full', sslrootcert: certificate }, 0, /^$/],
        ['localhost', { sslmode: 'verify-ca', sslrootcert: certificate }, 0, /^$/],
        ['127.0.0.1', { sslmode: 'verify-full' }, 5, /SELF_SIGNED_CERT[^]*fix: sslrootcert=</],
        [
          'localhost',
          { sslmode: 'verify-full', sslrootcert: certificate },
          5,
          /another host[^]*fix: use the name/,
        ],
        [
          '127.0.0.1',
          { sslmode: 'verify-full', sslrootcert: '/nowhere.pem' },
          5,
          /ENOENT[^]*fix: correct sslrootcert/,
        ],
      ];
      for (const [host, parameters, code, message] of ways) {
        const targetUrl = changed(url, (copy) => {
          copy.hostname = host;
          for (const [name, value] of Object.entries(parameters))
            copy.searchParams.set(name, value);
        });
        for (const args of [['status'], ['schema', 'status']]) {
          const end = await runner({ sourceUrl: url, targetUrl }, args);
          assert.is(
            end.code,
            code,
            `${args.join(' ')} ${JSON.stringify(parameters)} ${end.stderr}`,
          );
          assert.match(end.stderr, message);
        }
      }
    }),
  );
}

test.run();

/** A server that offers TLS, with a certificate of its own for 127.0.0.1. */
async function onTlsServer(body: (url: string, certificate: string) => Promise<void>) {
  const directory = join(ROOT, '.embedded', `tls-${process.pid}`);
  const server = await startServer({
    major: 17,
    directory,
    admin: 'tls_admin',
    roles: [],
    label: '',
  });
  try {
    const data = join(server.directory, 'data');
    const [key, certificate] = [join(data, 'server.key'), join(data, 'server.crt')];
    const made = spawnSync('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=embedded'],
      ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
    ]);
    assert.is(made.status, 0, String(made.stderr));
    const { uid, gid } = statSync(data);
    chmodSync(key, 0o600);
    chownSync(key, uid, gid);
    chownSync(certificate, uid, gid);
    const sql = open(server.adminUrl());
    await sql`alter system set ssl = on`;
    await sql`select pg_reload_conf()`;
    await sql.end();
    await body(server.adminUrl(), certificate);
  } finally {
    await server.stop();
    removeServer(directory);
  }
}

function changed(url: string, change: (url: URL) => void): string {
  const copy = new URL(url);
  change(copy);
  return copy.href;
}

function into(url: URL, role: string): void {
  url.username = role;
  url.password = 'hunter2';
}

function nameOf({ pair }: Context): string {
  return new URL(pair.targetUrl).pathname.slice(1);
}

function findingsOf(stdout: string) {
  return (JSON.parse(stdout) as { findings: { what: string; state: string; fix: string }[] })
    .findings;
}

function withoutPassword(end: { stdout: string; stderr: string }, urls: Databases): void {
  for (const url of [urls.sourceUrl, urls.targetUrl]) {
    assert.not.match(end.stdout + end.stderr, new URL(url).password);
    assert.not.match(end.stdout + end.stderr, 'postgresql://');
  }
}
