/* Two databases, a runner as a user starts it, and the way back after a fault. */
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import * as assert from 'uvu/assert';
import { removePair, startPair } from '../../runner/embedded/pair.ts';
import { labelOf, type Server, startServer } from '../../runner/embedded/server.ts';
import {
  type Databases,
  type Ended,
  open,
  ROOT,
  sameDump,
  startRunner,
  type Started,
  touches,
  waitFor,
} from '../runner.ts';
import { type Proxy, startProxy } from './proxy.ts';
import {
  type Expected,
  expectationOf,
  ledgerHolds,
  noTraces,
  sameRows,
  sameTransaction,
  sourceUnwritten,
} from './invariants.ts';
import { prepare, type Templates, upSmall } from './small.ts';

/** What the tests of a file share: prepared databases, a small project, the rows to expect. */
export interface Stage {
  /** Gives `body` databases of its own, and drops them. */
  inWorld<T>(body: (world: World) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** The databases of one test. */
export interface World {
  urls: Databases;
  sourceAdminUrl: string;
  targetAdminUrl: string;
  /** A superuser's sessions. */
  source: Sql;
  target: Sql;
  /** Starts `runner up`, by default with the databases of this world. No secret may be said. */
  start(way?: Way): Started;
  /** Starts a proxy in front of a database, for as long as the test takes. */
  proxy(side: 'source' | 'target'): Promise<Proxy>;
  /** As `recovers` below; of other databases, where they are given. */
  recovers(other?: Way & { source?: Sql; target?: Sql; expected?: Expected }): Promise<void>;
}

/** How a runner comes to its databases. */
export interface Way {
  sourceUrl?: string;
  targetUrl?: string;
  /** Where the target finds the source. */
  sourceAt?: { host?: string; port: number };
}

/** A server of a test's own, with a database in it. */
export interface OwnServer {
  url: string;
  adminUrl: string;
  port: number;
  /** A superuser's session. */
  sql: Sql;
  stop(mode: 'fast' | 'immediate'): Promise<void>;
  start(): Promise<void>;
  /** Starts again, listening there as well. */
  listen(host: string): Promise<void>;
}

/** The table written range by range. */
export const BATCH = 'public.user_actions';
/** What is said with exit 4. */
export const RUN_AGAIN = /run the same command again/;

/** Prepares the small migration for tests with the real command line. */
export async function stage(): Promise<Stage> {
  const templates = await prepare();
  const { targetAdminUrl, targetUrl } = await templates.target('first');
  const { sourceAdminUrl, sourceUrl } = await templates.source('first');
  await upSmall({ root: templates.root, sourceUrl, targetUrl, jobs: 1 });
  const target = open(targetAdminUrl);
  const expected = await expectationOf(target);
  await target.end();
  await templates.drop(targetAdminUrl);
  await templates.drop(sourceAdminUrl);
  return {
    inWorld: (body) => inWorld({ templates, expected }, body),
    close: () => templates.remove(),
  };
}

async function inWorld<T>(
  { templates, expected }: { templates: Templates; expected: Expected },
  body: (world: World) => Promise<T>,
): Promise<T> {
  const { targetAdminUrl, targetUrl } = await templates.target('first');
  const { sourceAdminUrl, sourceUrl } = await templates.source('first');
  const urls = { sourceUrl, targetUrl };
  const [source, target] = [open(sourceAdminUrl), open(targetAdminUrl)];
  const started: Started[] = [];
  const proxies: Proxy[] = [];
  const start = (way: Way = {}): Started => {
    const to = { ...urls, ...way };
    const env: Record<string, string> = {};
    if (way.sourceAt?.host !== undefined) env['SOURCE_HOST_FROM_TARGET'] = way.sourceAt.host;
    if (way.sourceAt !== undefined) env['SOURCE_PORT_FROM_TARGET'] = String(way.sourceAt.port);
    const { child, ended } = startRunner(to, ['up', '--json'], { root: templates.root, env });
    const runner = { child, ended: ended.then((end) => withoutSecrets(end, to)) };
    started.push(runner);
    return runner;
  };
  try {
    return await body({
      ...{ urls, sourceAdminUrl, targetAdminUrl, source, target, start },
      proxy: async (side) => {
        const proxy = await startProxy({ port: Number(new URL(urls[`${side}Url`]).port) });
        proxies.push(proxy);
        return proxy;
      },
      recovers: (other = {}) =>
        recovers({
          ...{ source, target, expected, ...other },
          start: () => start(other),
          // another target chooses other key ranges, another source has other row versions
          ranges: other.source === undefined && other.target === undefined,
        }),
    });
  } finally {
    for (const { child } of started) child.kill('SIGKILL');
    for (const proxy of proxies) await proxy.stop();
    await source.end();
    await target.end();
    await templates.drop(targetAdminUrl);
    await templates.drop(sourceAdminUrl);
  }
}

/** Gives `body` a source with the rows of every world and an empty target, and removes them. */
export async function onOwnServers(
  body: (own: { source: OwnServer; target: OwnServer }) => Promise<void>,
): Promise<void> {
  const directory = join(ROOT, '.embedded', `faults-${process.pid}`);
  const pair = await startPair({ directory, scale: '0.001', seed: '1', sourceMajor: 17 });
  const source = ownServer(pair.source, pair.sourceUrl, pair.sourceAdminUrl);
  const target = ownServer(pair.target, pair.targetUrl, pair.targetAdminUrl);
  try {
    await source.sql`select pg_stat_reset()`;
    await body({ source, target });
  } finally {
    for (const server of [source, target]) {
      await server.sql.end();
      await server.stop('fast');
    }
    removePair(directory);
  }
}

function ownServer(first: Server, url: string, adminUrl: string): OwnServer {
  const { major, port, directory } = first;
  let server = first;
  const start = async (settings: Record<string, string>): Promise<void> => {
    server = await startServer({
      ...{ major, port, directory, settings, label: labelOf(directory) ?? '' },
      ...{ admin: new URL(adminUrl).username, roles: [new URL(url).username] },
    });
  };
  return {
    ...{ url, adminUrl, port, sql: open(adminUrl) },
    stop: (mode) => server.stop(mode),
    start: () => start({}),
    listen: async (host) => {
      await server.stop('fast');
      const hba = join(tmpdir(), `hba-${process.pid}.conf`);
      writeFileSync(hba, 'host all all 0.0.0.0/0 scram-sha-256\n', { mode: 0o644 });
      await start({ listen_addresses: `127.0.0.1,${host}`, hba_file: hba });
      rmSync(hba);
    },
  };
}

/**
 * A phase and its ledger rows are there together or not at all. A plain `up` ends with exit 0 and
 * the rows of a run without a fault; the one after it writes nothing; nothing of ours is left in the
 * servers, and nothing was written in the source.
 */
export async function recovers({
  source,
  target,
  start,
  expected,
  ranges = true,
}: {
  source: Sql;
  target: Sql;
  start: () => Started;
  expected: Expected;
  /** As in `sameRows`. */
  ranges?: boolean;
}): Promise<void> {
  await sameTransaction(target, 'after the fault');
  endsWith(await start().ended, 0);
  await sameRows(target, expected, 'after the plain re-run', { ranges });
  await ledgerHolds(target, 'after the plain re-run');
  const schemas = ['public', 'ids', 'legacy_archive'];
  const before = await touches(target, schemas);
  endsWith(await start().ended, 0);
  sameDump(await touches(target, schemas), before, 'a second re-run writes');
  await noTraces(target, source, 'after the re-runs');
  await sourceUnwritten(source);
}

/**
 * A lock of the application in the way: the runner's statement on `table` waits, in the middle of
 * a batch. `release` ends it.
 */
export async function block(url: string, table: string): Promise<{ release(): Promise<void> }> {
  const sql = open(url);
  await sql.unsafe(`begin; lock table ${table} in access exclusive mode`);
  return {
    release: async () => {
      await sql`rollback`;
      await sql.end();
    },
  };
}

/** Waits until a session of the runner (or of the reader) waits for a lock; its process id. */
export async function blocked(server: Sql, who: 'runner' | 'reader'): Promise<number> {
  const { pid } = await waitFor(
    `a session of the ${who} waits for a lock`,
    () => server<{ pid: number }[]>`
      select pid from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'
        and (application_name = 'runner' or usename = 'legacy_reader')`,
    60,
  );
  return pid;
}

/**
 * Lets a started runner come to the phase that commits range by range, and stops it there, while
 * it reads the source: a lock is in the way. `pid` is the session in the source.
 */
export async function blockReading(
  world: Pick<World, 'source' | 'sourceAdminUrl' | 'target' | 'targetAdminUrl'>,
): Promise<{ pid: number; lock: { release(): Promise<void> } }> {
  // the sums over the source's tables are taken first: its lock has to come after them
  const gate = await block(world.targetAdminUrl, 'public.doctor_offices');
  await blocked(world.target, 'runner');
  const lock = await block(world.sourceAdminUrl, 'public.dispatch_action');
  await gate.release();
  return { pid: await blocked(world.source, 'reader'), lock };
}

/**
 * A run of which the n-th COMMIT gets no reply, then a plain one: nothing that was committed is
 * read a second time. False when the run has fewer.
 */
export async function loseCommit(world: World, n: number): Promise<boolean> {
  const proxy = await world.proxy('target');
  let lost = false;
  const cut = (close: () => void): void => {
    lost = true;
    close();
  };
  proxy.when(/^Q.*\bcommit\s*\0$/s, 'reply', cut, n);
  const targetUrl = through(world.urls.targetUrl, proxy.port);
  const end = await world.start({ targetUrl }).ended;
  endsWith(end, lost ? 4 : 0, lost ? RUN_AGAIN : undefined);
  if (!lost) return false;
  const committed = await world.target<{ entity: string; rows: number }[]>`
    select entity, sum(merged)::integer as rows from migration.ranges group by 1`;
  endsWith(await world.start().ended, 0);
  const reread = await world.target<{ entity: string; rows: number }[]>`
    select entity, rows_read::integer as rows from migration.control
    where run = (select max(run) from migration.runs)`;
  for (const { entity, rows } of committed) {
    const read = reread.find((other) => other.entity === entity)?.rows;
    assert.is(read, 0, `COMMIT ${n}: ${rows} rows of ${entity} are read a second time`);
  }
  await world.recovers();
  return true;
}

/** Asserts exit code and message. */
export function endsWith({ code, stderr }: Ended, expected: number, message?: RegExp): void {
  assert.is(code, expected, stderr);
  if (message !== undefined) assert.match(stderr, message);
}

/** Asserts exit code, message, and that the end comes within so many seconds; after how many. */
export async function endsWithin(
  limit: number,
  { child, ended }: Started,
  expected: number,
  message?: RegExp,
): Promise<number> {
  const began = Date.now();
  const timer = setTimeout(() => child.kill('SIGKILL'), limit * 1000);
  const end = await ended;
  clearTimeout(timer);
  const seconds = (Date.now() - began) / 1000;
  assert.ok(seconds < limit, `still running after ${limit} s: ${end.stderr}`);
  endsWith(end, expected, message);
  return seconds;
}

/** A URL that leads through another port. */
export function through(url: string, port: number): string {
  const changed = new URL(url);
  changed.port = String(port);
  return changed.href;
}

function withoutSecrets(end: Ended, { sourceUrl, targetUrl }: Databases): Ended {
  for (const url of [sourceUrl, targetUrl]) {
    const said = `${end.stdout}${end.stderr}`.includes(new URL(url).password);
    assert.not(said, 'a password is in the output');
  }
  return end;
}
