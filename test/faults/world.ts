/* Two databases, a runner as a user starts it, and the way back after a fault. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import * as assert from 'uvu/assert';
import {
  type Databases,
  type Ended,
  open,
  sameDump,
  type Scratch,
  scratch,
  startRunner,
  type Started,
  touches,
  waitFor,
} from '../runner.ts';
import { startProxy } from './proxy.ts';
import { type Expected, expectationOf, ledgerHolds, noTraces, sameRows } from './invariants.ts';
import { CHECKS, prepare, smallEntities, type Templates, upSmall } from './small.ts';

/** What the tests of a file share: prepared databases, a small project, the rows to expect. */
export interface Stage {
  templates: Templates;
  project: Scratch;
  expected: Expected;
  /** Databases of one test's own. */
  world(): Promise<World>;
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
  /** Starts `runner up`, by default on these databases. */
  start(urls?: Databases, env?: Record<string, string>): Started;
  /**
   * A plain `up` ends with exit 0 and the rows of a run without a fault; the one after it writes
   * nothing; nothing of ours is left in the servers.
   */
  recovers(): Promise<void>;
  close(): Promise<void>;
}

/** The table written range by range. */
export const BATCH = 'public.user_actions';

/** Prepares the small migration for tests with the real command line. */
export async function stage(): Promise<Stage> {
  const templates = await prepare();
  const project = smallProject();
  const worlds = new Set<World>();
  const world = async (): Promise<World> => {
    const made = await makeWorld(templates, project, () => expected);
    worlds.add(made);
    return {
      ...made,
      close: async () => {
        worlds.delete(made);
        await made.close();
      },
    };
  };
  const { targetAdminUrl, targetUrl } = await templates.target('first');
  const { sourceAdminUrl, sourceUrl } = await templates.source('first');
  await upSmall({ root: templates.root, sourceUrl, targetUrl, jobs: 1 });
  const target = open(targetAdminUrl);
  const expected = await expectationOf(target);
  await target.end();
  await templates.drop(targetAdminUrl);
  await templates.drop(sourceAdminUrl);
  return {
    templates,
    project,
    expected,
    world,
    close: async () => {
      // of tests that failed
      for (const made of worlds) await made.close();
      await templates.remove();
      project.remove();
    },
  };
}

/** A copy of the project with a part of the entities, so that a run takes a second or two. */
export function smallProject(): Scratch {
  const project = scratch();
  const keep = [...smallEntities(), 'auth_user_password'];
  for (const name of readdirSync(join(project.root, 'sql'), {
    recursive: true,
    encoding: 'utf8',
  })) {
    const entity = /(?:[1-7]-\w+\/\d+_|archive\/)(\w+)\.sql$/.exec(name)?.[1];
    if (entity !== undefined && !keep.includes(entity)) rmSync(join(project.root, 'sql', name));
  }
  for (const name of readdirSync(join(project.root, 'checks'))) {
    if (name.endsWith('.sql') && !CHECKS.includes(name)) rmSync(join(project.root, 'checks', name));
  }
  for (const name of readdirSync(join(project.root, 'checks/before'))) {
    rmSync(join(project.root, 'checks/before', name));
  }
  return project;
}

async function makeWorld(
  templates: Templates,
  project: Scratch,
  expected: () => Expected,
): Promise<World> {
  const { targetAdminUrl, targetUrl } = await templates.target('first');
  const { sourceAdminUrl, sourceUrl } = await templates.source('first');
  const urls = { sourceUrl, targetUrl };
  const source = open(sourceAdminUrl);
  const target = open(targetAdminUrl);
  const started = new Set<Started>();
  const start = (to: Databases = urls, env: Record<string, string> = {}): Started => {
    const runner = startRunner(to, ['up', '--json'], { root: project.root, env });
    started.add(runner);
    return runner;
  };
  return {
    ...{ urls, sourceAdminUrl, targetAdminUrl, source, target, start },
    recovers: () => recovers({ source, target, start, expected: expected() }),
    close: async () => {
      for (const { child } of started) child.kill('SIGKILL');
      await source.end();
      await target.end();
      await templates.drop(targetAdminUrl);
      await templates.drop(sourceAdminUrl);
    },
  };
}

/** As `recovers` of a world. */
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
  const again = await start().ended;
  assert.is(again.code, 0, `the plain re-run: ${again.stderr}`);
  await sameRows(target, expected, 'after the plain re-run', { ranges });
  await ledgerHolds(target, 'after the plain re-run');
  const schemas = ['public', 'ids', 'legacy_archive'];
  const before = await touches(target, schemas);
  const idle = await start().ended;
  assert.is(idle.code, 0, idle.stderr);
  sameDump(await touches(target, schemas), before, 'a second re-run writes');
  await noTraces(target, source, 'after the re-runs');
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
  world: World,
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
  const proxy = await startProxy({ port: Number(new URL(world.urls.targetUrl).port) });
  let lost = false;
  const cut = (close: () => void): void => {
    lost = true;
    close();
  };
  proxy.when(/^Q....commit\0/s, 'reply', cut, n);
  const targetUrl = through(world.urls.targetUrl, proxy.port);
  const end = await world.start({ ...world.urls, targetUrl }).ended;
  await proxy.stop();
  endsWith(end, lost ? 4 : 0, lost ? /run the same command again/ : undefined);
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
export function endsWith({ code, stderr }: Ended, expected: number | null, message?: RegExp): void {
  assert.is(code, expected, stderr);
  if (message !== undefined) assert.match(stderr, message);
}

/** A URL that leads through another port. */
export function through(url: string, port: number): string {
  const changed = new URL(url);
  changed.port = String(port);
  return changed.href;
}
