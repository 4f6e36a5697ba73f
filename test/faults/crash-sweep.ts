/* Kills a runner at each protocol message in turn, and looks at what a plain re-run makes of it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Sql } from 'postgres';
import * as assert from 'uvu/assert';
import { type Dump, dumpRows, open, sameDump, touches } from '../runner.ts';
import type { Outcome } from './child.ts';
import {
  type Expected,
  expectationOf,
  ledgerHolds,
  noTraces,
  sameRows,
  sameTransaction,
  writtenIn,
  writtenSchemas,
} from './invariants.ts';
import { startProxy } from './proxy.ts';
import { type Job, type State, type Templates, upSmall } from './small.ts';
import { through } from './world.ts';

/** Where to kill: every `step`-th request and reply, from the `first`. */
export interface Sweep {
  state: State;
  step: number;
  first?: number;
  /** `--jobs` of the killed runner. */
  jobs?: number;
  /** Cases at the same time, each with a target of its own. */
  atOnce: number;
  /** Of so many cases one is followed by a second re-run, which must not write. */
  idleEvery: number;
}

/** What was tried. */
export interface Swept {
  requests: number;
  replies: number;
  cases: number;
  /** Runs that ended before their message came: they are complete runs. */
  through: number;
  /** Cases by what the kill left: number of entities committed, ranges of the batch phase; what is taken back. */
  left: Map<string, number>;
}

type Point = { kind: 'request' | 'reply'; n: number; idle: boolean };

/** What a run without a fault does: rows, rows read per entity, number of messages. */
interface Reference {
  expected: Expected;
  /** By the run; of a `down` by the `up` that follows it. */
  read: Map<string, number>;
  /** All rows of a target before the first run: what a `down` leaves. */
  untouched: Dump;
  messages: { requests: number; replies: number };
}

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url));

/** Runs the sweep; throws at the first case that breaks an invariant. */
export async function sweep(templates: Templates, options: Sweep): Promise<Swept> {
  const children = new Set<ChildProcess>();
  try {
    const reference = await refer(templates, options, children);
    const points: Point[] = [];
    for (const kind of ['request', 'reply'] as const) {
      const last = reference.messages[kind === 'request' ? 'requests' : 'replies'];
      for (let n = options.first ?? 1; n <= last; n += options.step) {
        points.push({ kind, n, idle: points.length % options.idleEvery === 0 });
      }
    }
    const swept: Swept = {
      ...reference.messages,
      cases: points.length,
      through: 0,
      left: new Map(),
    };
    let failed = false;
    const work = async (): Promise<void> => {
      const urls = await templates.source(options.state);
      const source = { url: urls.sourceUrl, admin: open(urls.sourceAdminUrl) };
      const written = await writtenIn(source.admin);
      let next = start(children);
      try {
        for (let point = points.shift(); point !== undefined && !failed; point = points.shift()) {
          const child = next;
          next = start(children);
          const left = await tryOne(templates, options, reference, source, child, point);
          if (left === undefined) swept.through += 1;
          else swept.left.set(left, (swept.left.get(left) ?? 0) + 1);
        }
        sameDump(await writtenIn(source.admin), written, 'the source was written');
      } catch (error) {
        failed = true;
        throw error;
      } finally {
        await source.admin.end();
        await templates.drop(urls.sourceAdminUrl);
      }
    };
    for (const end of await Promise.allSettled(Array.from({ length: options.atOnce }, work))) {
      if (end.status === 'rejected') throw end.reason;
    }
    return swept;
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

/** One line for the reader of the test's output. */
export function tell({ requests, replies, cases, through, left }: Swept): string {
  const states = [...left].toSorted(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  return [
    `${cases} cases (a run has ${requests} requests and ${replies} replies), ${through} ran through`,
    ...states.map(([state, count]) => `  left by the kill: ${state} in ${count} cases`),
  ].join('\n');
}

async function refer(
  templates: Templates,
  { state, jobs = 1 }: Sweep,
  children: Set<ChildProcess>,
): Promise<Reference> {
  const { root } = templates;
  const { targetUrl, targetAdminUrl } = await templates.target(state);
  const { sourceUrl, sourceAdminUrl } = await templates.source(state);
  const proxy = await startProxy({ port: Number(new URL(targetUrl).port) });
  const target = open(targetAdminUrl);
  try {
    const untouched = await untouchedRows(templates);
    const migrated = state === 'down' ? await expectationOf(target, root) : undefined;
    const job: Job = { root, sourceUrl, targetUrl, jobs };
    const child = start(children);
    const ended = endOf(child);
    child.send({ state, job: { ...job, targetUrl: through(targetUrl, proxy.port) } });
    assert.is((await ended)?.error, '', `${state}, not killed`);
    child.kill('SIGKILL');
    const { requests, replies } = proxy.counts();
    if (migrated !== undefined) {
      sameDump(await dumpRows(target, { clock: true, root }), untouched, 'after down');
      await upSmall(job);
      await sameRows(target, migrated, 'after down and up');
    }
    return {
      expected: migrated ?? (await expectationOf(target, root)),
      read: await readBy(target, await lastRun(target)),
      untouched,
      messages: { requests, replies },
    };
  } finally {
    await target.end();
    await proxy.stop();
    await templates.drop(targetAdminUrl);
    await templates.drop(sourceAdminUrl);
  }
}

async function untouchedRows(templates: Templates): Promise<Dump> {
  const { targetAdminUrl } = await templates.target('first');
  const target = open(targetAdminUrl);
  try {
    return await dumpRows(target, { clock: true, root: templates.root });
  } finally {
    await target.end();
    await templates.drop(targetAdminUrl);
  }
}

/** Returns what the kill left; undefined when the run ended before. */
async function tryOne(
  templates: Templates,
  { state, jobs = 1 }: Sweep,
  { expected, read, untouched }: Reference,
  source: { url: string; admin: Sql },
  child: ChildProcess,
  { kind, n, idle }: Point,
): Promise<string | undefined> {
  const at = `${state}, killed before ${kind} ${n}`;
  const { root } = templates;
  const { targetUrl, targetAdminUrl } = await templates.target(state);
  const proxy = await startProxy({ port: Number(new URL(targetUrl).port) });
  const target = open(targetAdminUrl);
  try {
    const before = await lastRun(target);
    proxy.cutBefore(kind, n, () => child.kill('SIGKILL'));
    const ended = endOf(child);
    const job: Job = { root, sourceUrl: source.url, targetUrl, jobs };
    child.send({ state, job: { ...job, targetUrl: through(targetUrl, proxy.port) } });
    const outcome = await ended;
    const { cut } = proxy.counts();
    child.kill('SIGKILL');
    assert.is(outcome?.error ?? '', '', at);
    assert.is(cut, outcome === undefined, at);
    await noTraces(target, source.admin, at);
    await sameTransaction(target, at);
    const left =
      state === 'down'
        ? await takenBack(target, { expected, read, untouched }, before, { root, at })
        : await committed(target, before);

    const again = await upSmall(job).catch((error: unknown) => {
      throw new Error(`${at}: the plain re-run fails: ${String(error)}`, { cause: error });
    });
    await sameRows(target, expected, at);
    await ledgerHolds(target, at);
    // every row is read once: by the killed run, where it was committed, or by this one
    const reread = await readBy(target, again);
    for (const [entity, rows] of read) {
      const ended = outcome !== undefined && state !== 'down';
      const before = ended ? rows : (left.read.get(entity) ?? 0);
      assert.is(before + (reread.get(entity) ?? 0), rows, `${at}: rows of ${entity} read`);
    }
    if (idle) {
      const ours = writtenSchemas(root);
      const before = await touches(target, ours);
      await upSmall(job);
      sameDump(await touches(target, ours), before, `${at}: a second re-run writes`);
    }
    return outcome === undefined ? left.state : undefined;
  } finally {
    await target.end();
    await proxy.stop();
    await templates.drop(targetAdminUrl);
  }
}

/** Rows a run read, per entity. */
async function readBy(target: Sql, run: number): Promise<Map<string, number>> {
  const rows = await target<{ entity: string; count: number }[]>`
    select entity, coalesce(rows_read, 0)::integer as count
    from migration.control where run = ${run}`;
  return new Map(rows.map(({ entity, count }) => [entity, count]));
}

/** Number of the last run; 0 before the first. */
async function lastRun(target: Sql): Promise<number> {
  const [ledger] = await target`select to_regclass('migration.runs') is not null as there`;
  if (ledger?.['there'] !== true) return 0;
  const [row] = await target<{ run: number }[]>`
    select coalesce(max(run), 0)::integer as run from migration.runs`;
  return row?.run ?? 0;
}

/** What the run after `before` committed, should it have begun: rows per entity, and in words. */
async function committed(
  target: Sql,
  before: number,
): Promise<{ read: Map<string, number>; state: string }> {
  const last = await lastRun(target);
  const rows =
    last === before
      ? []
      : await target<{ entity: string; rows: number; ranges: number }[]>`
    select entity, sum(merged)::integer as rows, count(*)::integer as ranges
    from migration.ranges where run = ${last}
    group by entity`;
  const ranges = rows.reduce((sum, row) => sum + row.ranges, 0);
  return {
    read: new Map(rows.map((row) => [row.entity, row.rows])),
    state: `${ranges} ranges of ${rows.length} entities`,
  };
}

/**
 * What became of a `down`: everything is taken back, or nothing is; in words, and the rows that need not be read
 * again.
 */
async function takenBack(
  target: Sql,
  { expected, read, untouched }: Pick<Reference, 'expected' | 'read' | 'untouched'>,
  before: number,
  { root, at }: { root: string; at: string },
): Promise<{ read: Map<string, number>; state: string }> {
  if ((await lastRun(target)) === before) {
    await sameRows(target, expected, at);
    return { read, state: 'everything' };
  }
  sameDump(await dumpRows(target, { clock: true, root }), untouched, at);
  return { read: new Map(), state: 'what was there before the first run' };
}

function start(children: Set<ChildProcess>): ChildProcess {
  const child = fork(CHILD, [], {
    execArgv: ['--import', import.meta.resolve('tsx')],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Resolves when the job is done, or with nothing when the process is gone. */
async function endOf(child: ChildProcess): Promise<Outcome | undefined> {
  const [end] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [])]);
  return end as Outcome | undefined;
}
