import { setTimeout as sleep } from 'node:timers/promises';

import type { Phase } from './catalog.ts';
import { type Check, type CheckResult, runChecks } from './checks.ts';
import {
  failureOf,
  isDataError,
  mayRetry,
  savepoint,
  type Session,
  transaction,
} from './database.ts';
import {
  type Attempted,
  completePhase,
  type Counts,
  finishEntity,
  holdLease,
  noteAttempt,
  noteMaps,
} from './ledger.ts';
import { closeLink, openLink, reading } from './link.ts';
import { enterLookups, reachLookups, settleLookups } from './lookups.ts';
import * as merge from './merge.ts';
import type { ConflictPolicy, Scope, Shape } from './merge.ts';
import { countProven, findWanted, type Piece, type Plan, planEntity } from './versions.ts';

/** What a run decided before its first phase. */
export interface RunContext {
  run: number;
  shapes: Map<string, Shape>;
  /** Hash of the helper functions the views use. */
  functionsHash: string;
  /** Compare every row, whatever the versions say. */
  full: boolean;
  /** Open rejects are read again. */
  retry: boolean;
  policy: ConflictPolicy;
  /** Removals beyond 5 % of an entity are wanted. */
  removeMany: boolean;
  /** Rows of a piece that is read and written at once. */
  pieceRows: number;
  /** Share of rows rules may reject where the file says nothing. */
  tolerance: number;
  /** Everything is rolled back in the end: no transaction of its own for a phase. */
  dryRun: boolean;
  /** The first works alone, the others help where ranges are committed one by one. */
  sessions: [Session, ...Session[]];
  /** Data checks of severity error. */
  checks: Check[];
  /** The phase of every entity and archive table. */
  defined: Record<string, string>;
  remark: (line: string) => void;
  report: (progress: Progress) => void;
  /** Throws when the run is to stop. */
  checkpoint: () => void;
}

/** Where an entity stands. Rows are source rows. */
export interface Progress {
  entity: string;
  phase: string;
  state: 'started' | 'working' | 'done';
  done: number;
  total: number;
  counts?: Counts;
  seconds?: number;
}

/** A phase that did not come out right; the message says what, the rest what is true now. */
export class PhaseFailed extends Error {
  override readonly name = 'PhaseFailed';
  constructor(
    readonly phase: string,
    readonly entity: string | undefined,
    message: string,
    /** True where ranges were committed before the failure. */
    readonly committed: boolean,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

/** A law of the engine does not hold: balance, limits, caps. Never a data error of one row. */
export class LawBroken extends Error {
  override readonly name = 'LawBroken';
}

/** What data checks look at: a phase, or the archive. */
interface Checked {
  name: string;
  entities: readonly { name: string }[];
}

type Actions = Pick<Counts, 'inserted' | 'updated' | 'kept' | 'gone' | 'read'>;

const NO_ACTIONS: Actions = { inserted: 0, updated: 0, kept: 0, gone: 0, read: 0 };
const ATTEMPTS = 6;
/** Share of the source rows of a phase that must have been read for its data checks to run. */
const CHECKED_SHARE = 0.2;

/**
 * Runs a phase: in one transaction, or range by range where an entity says `commit batch`. After an
 * error that time may heal (lock, deadlock, serialization) it is tried again, reading included.
 * Throws PhaseFailed; the failed attempt is in the ledger then, unless it is a dry run.
 */
export async function runPhase(context: RunContext, phase: Phase): Promise<void> {
  const shapes = phase.entities.flatMap(({ name }) => context.shapes.get(name) ?? []);
  const byRange = !context.dryRun && shapes.some(({ entity }) => entity.commitBatch);
  const at: { shape: Shape | undefined; started: Date } = { shape: undefined, started: new Date() };
  const begin = (shape: Shape) => {
    context.checkpoint();
    Object.assign(at, { shape, started: new Date() });
  };
  const [session] = context.sessions;
  try {
    if (byRange) {
      const unproven = await isUnproven(session, phase.name);
      const done: Progress[] = [];
      for (const shape of shapes) {
        begin(shape);
        done.push(await runByRange(context, shape, unproven));
      }
      at.shape = undefined;
      await transaction(session, async () => {
        await holdLease(session, context.run);
        // the checks look at what is complete, and it is complete only if they pass
        await completePhase(
          session,
          shapes.map(({ entity }) => entity.name),
        );
        await checkPhase(context, session, phase, done, unproven);
      });
    } else {
      await again(context, () => runWhole(context, phase, shapes, begin));
    }
  } catch (error) {
    if (!(error instanceof LawBroken) && failureOf(error) === undefined) throw error;
    context.checkpoint();
    const message = error instanceof Error ? error.message : String(error);
    const { shape, started } = at;
    // a data check blames the phase: all of it is open again
    const blamed = (shape === undefined ? shapes : [shape]).map(({ entity }) => entity);
    if (!context.dryRun) await noteFailure(context, blamed, started, message);
    throw new PhaseFailed(phase.name, shape?.entity.name, message, byRange, error);
  }
}

/** The failed attempt in the ledger, in a transaction of its own: what is blamed is open again. */
export async function noteFailure(
  { run, sessions: [session] }: RunContext,
  blamed: Attempted[],
  started: Date,
  message: string,
): Promise<void> {
  await transaction(session, async () => {
    await holdLease(session, run);
    for (const each of blamed) {
      await noteAttempt(session, run, each, started, message);
      await session.query(
        `update migration.entities set status = 'partial' where entity = $1 and status <> 'new'`,
        [each.name],
      );
    }
  });
}

/** One transaction: a savepoint per entity and per piece, the link open as long as it is read. */
async function runWhole(
  context: RunContext,
  phase: Phase,
  shapes: Shape[],
  begin: (shape: Shape) => void,
): Promise<void> {
  const [session] = context.sessions;
  const inOne = context.dryRun ? savepoint : transaction;
  const done: Progress[] = [];
  await inOne(session, async () => {
    await holdLease(session, context.run);
    const unproven = await isUnproven(session, phase.name);
    const link = lazyLink(session);
    for (const shape of shapes) {
      begin(shape);
      done.push(
        await savepoint(session, async () => {
          const entity = await startEntity(context, session, shape);
          for (const piece of entity.plan.pieces) {
            context.checkpoint();
            await link.open();
            const actions = await savepoint(session, async () => {
              await read(context, session, entity, piece);
              return write(context, session, entity, piece);
            });
            add(entity, piece, actions, context);
          }
          await reach(session, entity);
          if (await isUnsettled(session, entity)) {
            await link.open();
            await settle(session, shape);
          }
          return endEntity(context, session, entity);
        }),
      );
    }
    await link.close();
    await checkPhase(context, session, phase, done, unproven);
  });
  for (const progress of done) context.report(progress);
}

/** Range by range: a transaction that reads, a transaction that writes. */
async function runByRange(context: RunContext, shape: Shape, unproven: boolean): Promise<Progress> {
  const [session] = context.sessions;
  const entity = await transaction(session, async () => {
    await holdLease(session, context.run);
    return startEntity(context, session, shape);
  });
  const selfMapped = shape.entity.idMaps.includes(shape.entity.name);
  const queue = [...entity.plan.pieces];
  let failed = false;
  const work = async (worker: Session): Promise<void> => {
    for (;;) {
      const piece = failed ? undefined : queue.shift();
      if (piece === undefined) return;
      context.checkpoint();
      try {
        const actions = await again(context, async () => {
          if (selfMapped) {
            return transaction(worker, async () => {
              await holdLease(worker, context.run);
              await openLink(worker);
              await read(context, worker, entity, piece);
              await closeLink(worker);
              return write(context, worker, entity, piece);
            });
          }
          await entity.turn(() =>
            transaction(
              worker,
              async () => {
                await openLink(worker);
                await read(context, worker, entity, piece);
                await closeLink(worker);
              },
              { lockTimeout: '60s' },
            ),
          );
          return transaction(worker, async () => {
            await holdLease(worker, context.run);
            return write(context, worker, entity, piece);
          });
        });
        add(entity, piece, actions, context);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(context.sessions.map(work));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;

  const progress = await again(context, () =>
    transaction(session, async () => {
      await holdLease(session, context.run);
      await reach(session, entity);
      if (await isUnsettled(session, entity)) {
        await openLink(session);
        await settle(session, shape);
        await closeLink(session);
      }
      // the data checks of the phase are still to come, and a crash before them must be seen
      const status = unproven || entity.plan.pieces.length > 0 ? 'partial' : 'complete';
      return endEntity(context, session, entity, status);
    }),
  );
  context.report(progress);
  return progress;
}

/**
 * The data checks, of a phase of which a good part was read: the first time, after a change of its
 * files or look-ups, with --full, after a failure. Small increments leave them to `runner check`,
 * which would cost more than the run. Where the application changed rows since, findings that this
 * may explain are remarks: only `verify` can tell its rows from ours. Throws LawBroken otherwise.
 * The phase is complete in the caller's transaction, and its link closed.
 */
export async function checkPhase(
  context: RunContext,
  session: Session,
  phase: Checked,
  done: Progress[],
  unproven: boolean,
): Promise<void> {
  const total = (key: 'source' | 'read') =>
    done.reduce((sum, { counts }) => sum + (counts?.[key] ?? 0), 0);
  const much = total('read') > 0 && total('read') >= CHECKED_SHARE * total('source');
  if (!much && !unproven) return;
  const results = await runChecks(session, context.checks, context.defined, phase.name);
  await closeLink(session);
  const found = results.filter(({ findings }) => findings > 0);
  // rows nobody can read are rejects already; the checks that meet them say nothing of the others
  const unreadable = await hasUnreadable(session, phase);
  const bad = found.filter((result) => !(unreadable && result.unreadable));
  for (const { check } of found.filter((result) => !bad.includes(result))) {
    context.remark(`${check.file} could not be run: a rejected row cannot be read`);
  }
  if (bad.length === 0) return;
  const touched = await touchedRows(context, session, phase);
  // a check that could not be run has found nothing that edits explain
  const fatal = bad.filter(
    ({ check, problem }) => touched === 0 || problem !== undefined || !check.explainedByEdits,
  );
  if (fatal.length > 0) {
    throw new LawBroken(`a data check found something:\n${fatal.map(lineOf).join('\n')}`);
  }
  context.remark(
    `the application changed ${touched} rows of ${phase.name} since they were written; ` +
      `\`runner verify\` lists them:\n${bad.map(lineOf).join('\n')}`,
  );
}

function lineOf({ check, sample, problem }: CheckResult): string {
  return `${check.file}: ${problem?.message ?? `not so: ${check.title} (${sample.join('; ')})`}`;
}

/** An attempt before this one was interrupted or failed: the checks have yet to pass. */
export async function isUnproven(session: Session, phase: string): Promise<boolean> {
  const rows = await session.query(
    `select from migration.entities where phase = $1 and status = 'partial' limit 1`,
    [phase],
  );
  return rows.length > 0;
}

/** Rows of the phase that could not be read are among its rejects. */
async function hasUnreadable(session: Session, phase: Checked): Promise<boolean> {
  const rows = await session.query(
    `select from migration.rejects as r join migration.entities as e on e.entity = r.entity
     where e.phase = $1 and r.resolved_run is null and r.sqlstate like '22%'
       and r.source_row is null limit 1`,
    [phase.name],
  );
  return rows.length > 0;
}

async function touchedRows(context: RunContext, session: Session, phase: Checked): Promise<number> {
  let touched = 0;
  for (const { name } of phase.entities) {
    const shape = context.shapes.get(name);
    if (shape === undefined) continue;
    const [row] = await session.query<{ count: number }>(merge.countTouched(shape));
    touched += row?.count ?? 0;
  }
  return touched;
}

/** An entity at work. */
interface Work {
  shape: Shape;
  plan: Plan;
  started: Date;
  /** The target table held rows when this entity began: they may be the application's. */
  hadRows: boolean;
  actions: Actions;
  doneRows: number;
  /** Reads of the workers queue: one session at a time holds the link. */
  turn: <T>(body: () => Promise<T>) => Promise<T>;
}

async function startEntity(context: RunContext, session: Session, shape: Shape): Promise<Work> {
  const started = new Date();
  const { entity } = shape;
  await noteAttempt(session, context.run, entity, started);
  await noteMaps(session, entity);
  const plan = await planEntity(session, shape, context);
  if (plan.pieces.length > 0) await enterLookups(session, entity);
  const [table] = await session.query<{ rows: boolean }>(
    `select exists (select from ${merge.targetOf(entity)}) as rows`,
  );
  context.report({
    entity: entity.name,
    phase: entity.phase,
    state: 'started',
    done: 0,
    total: plan.pieces.reduce((sum, piece) => sum + piece.rows, 0),
  });
  return {
    shape,
    plan,
    started,
    hadRows: table?.rows ?? true,
    actions: { ...NO_ACTIONS },
    doneRows: 0,
    turn: queueing(),
  };
}

/** Fills the temporary table `batch` of a piece, and what belongs to it. The link is open. */
async function read(context: RunContext, session: Session, work: Work, piece: Piece) {
  const { shape, plan } = work;
  await session.query(merge.createBatch(shape));
  await session.query(
    `drop table if exists pg_temp.batch_ranges;
     create temporary table batch_ranges (
       range bigint primary key, row_count bigint, sum_a numeric, sum_b numeric,
       source_rows bigint not null default 0)`,
  );
  await session.query(
    `insert into pg_temp.batch_ranges (range, row_count, sum_a, sum_b)
     select r.range, r.row_count, r.sum_a, r.sum_b
     from jsonb_to_recordset($1::text::jsonb)
       as r (range bigint, row_count bigint, sum_a numeric, sum_b numeric)`,
    [JSON.stringify(piece.ranges)],
  );
  if (piece.kind === 'keys') await findWanted(session, shape, piece, plan);
  await reading(session, async () => {
    const scope = scopeOf(shape, piece);
    await fill(session, shape, scope);
    if (shape.entity.idMaps.includes(shape.entity.name)) {
      // keys first, rows second
      const adopt = work.hadRows ? merge.adopt(shape) : undefined;
      if (adopt !== undefined) await session.query(adopt);
      await session.query(merge.enterIds(shape, context.run));
      await session.query('truncate pg_temp.batch, pg_temp.left_out, pg_temp.failed');
      await fill(session, shape, scope);
    }
    if (piece.kind === 'keys') return;
    // a range that appeared since the sums were taken has no sums: the next run looks again
    await session.query(
      `insert into pg_temp.batch_ranges (range, row_count, sum_a, sum_b, source_rows)
       select c.range, 0, 0, 0, c.count from (${merge.countSource(shape, scope)}) as c
       on conflict (range) do update set source_rows = excluded.source_rows`,
    );
  });
  if (piece.kind === 'keys') await countProven(session, shape);
  // of the keys only: looking at wide jsonb columns takes longer than it saves
  await session.query('analyze pg_temp.batch (legacy_key); analyze pg_temp.left_out');
}

function scopeOf(shape: Shape, piece: Piece): Scope {
  if (piece.kind === 'keys') return { kind: 'keys' };
  const first = piece.ranges[0];
  const last = piece.ranges.at(-1);
  if (piece.kind === 'all' || first === undefined || last === undefined) return { kind: 'all' };
  return { kind: 'range', from: first.range * shape.width, end: (last.range + 1) * shape.width };
}

/**
 * Reads a scope; where a value cannot be read (class 22), halves it until single keys remain, which
 * become rejects with key and error.
 */
async function fill(session: Session, shape: Shape, scope: Scope): Promise<void> {
  try {
    await savepoint(session, async () => {
      await session.query(merge.fillBatch(shape, scope));
      const leftOut = merge.fillLeftOut(shape, scope);
      if (leftOut !== undefined) await session.query(leftOut);
    });
    return;
  } catch (error) {
    const failure = failureOf(error);
    if (failure?.code === '23505') {
      throw new LawBroken(
        `${shape.entity.file}: the view shows a key twice; every source row must appear once`,
      );
    }
    if (failure === undefined || !failure.code.startsWith('22')) throw error;
    const [from, end] = await boundsOf(session, shape, scope);
    if (from === undefined || end === undefined) throw error;
    if (end - from === 1) {
      await session.query(
        `insert into pg_temp.batch (legacy_key, reject, known, version)
         select s.id, $1, m.legacy_id is not null, s.version
         from ${merge.versionsOf(shape.entity)} as s
         left join ids.${merge.quoted(shape.entity.name)} as m on m.legacy_id = s.id
         where s.id = ${from}`,
        [`error_${failure.code}`],
      );
      await session.query(
        'insert into pg_temp.failed (legacy_key, code, column_name) values ($1, $2, $3)',
        [from, failure.code, failure.column ?? null],
      );
      return;
    }
    const middle = from + Math.floor((end - from) / 2);
    const kind = scope.kind === 'keys' ? 'keys' : 'range';
    await fill(session, shape, { kind, from, end: middle });
    await fill(session, shape, { kind, from: middle, end });
  }
}

async function boundsOf(
  session: Session,
  shape: Shape,
  scope: Scope,
): Promise<[number | undefined, number | undefined]> {
  if (scope.kind !== 'all' && scope.from !== undefined) return [scope.from, scope.end];
  if (shape.entity.source === null) return [undefined, undefined];
  const [row] = await session.query<{ low: number | null; high: number | null }>(
    scope.kind === 'keys'
      ? 'select min(legacy_key) as low, max(legacy_key) as high from pg_temp.wanted'
      : `select min(s.id) as low, max(s.id) as high from ${merge.versionsOf(shape.entity)} as s`,
  );
  if (row === undefined || row.low === null || row.high === null) return [undefined, undefined];
  return [row.low, row.high + 1];
}

/** Merges the batch into the target and enters it in the ledger, checkpoint included. */
async function write(
  context: RunContext,
  session: Session,
  work: Work,
  piece: Piece,
): Promise<Actions> {
  const { shape, hadRows } = work;
  const { run, policy } = context;
  const scope = scopeOf(shape, piece);
  const selfMapped = shape.entity.idMaps.includes(shape.entity.name);

  if (hadRows) {
    const adopt = selfMapped ? undefined : merge.adopt(shape);
    if (adopt !== undefined) await session.query(adopt);
    await session.query(merge.findPresent(shape, piece.rehash));
    if (piece.rehash) await session.query(merge.leaveTouched(shape));
  }
  await session.query(merge.findGone(shape, scope));
  await session.query('analyze pg_temp.present; analyze pg_temp.gone');

  let gone = await handleGone(context, session, work, scope);
  let refused = false;
  await asApplication(session, async () => {
    await session.query(merge.keepImages(shape, run, policy));
    await session.query(merge.noteConflicts(shape, run, policy));
    refused = await writeRows(session, shape, context, hadRows);
  });
  if (refused) {
    // rows that were mapped and are refused now are no longer a row to store
    if (selfMapped) await session.query(merge.dropBareIds(shape));
    await session.query('truncate pg_temp.gone');
    await session.query(merge.findGone(shape, scope));
    const more = await handleGone(context, session, work, scope);
    gone = shape.entity.deletes === 'keep' ? more : gone + more;
  }
  const hashes = merge.hashStored(shape);
  if (hashes !== undefined) await session.query(hashes);

  const [counted] = await session.query<Omit<Actions, 'gone'> & { entered: number }>(
    merge.countActions(policy),
  );
  if (counted === undefined) throw new LawBroken('the batch could not be counted');
  const { entered, ...actions } = counted;
  for (const statement of merge.enterLedger(shape, scope, run, policy)) {
    await session.query(statement);
  }
  if (entered > 0) {
    await session.query(
      'update migration.entities set map_size = map_size + $2 where entity = $1',
      [shape.entity.name, entered],
    );
  }
  await session.query(merge.enterRanges(shape, work.plan.basis, work.plan.seen.now, run));
  await session.query(
    `update migration.entities set status = 'partial' where entity = $1 and status <> 'partial'`,
    [shape.entity.name],
  );
  await balanceRanges(session, shape);
  return { ...actions, gone };
}

/**
 * Inserts and updates, set by set; row by row when class 22 or 23 refuses one of them. Returns true
 * where rows were refused. An update may free a unique value that a new row takes; only in a table
 * that refers to itself may it need the new row first.
 */
async function writeRows(
  session: Session,
  shape: Shape,
  { run, policy }: RunContext,
  hadRows: boolean,
): Promise<boolean> {
  const [expected] = await session.query<{ inserted: number; updated: number }>(
    merge.countActions(policy),
  );
  if (expected === undefined || expected.inserted + expected.updated === 0) return false;
  const newFirst = shape.entity.idMaps.includes(shape.entity.name);
  try {
    const [inserted, updated] = await savepoint(session, async () => {
      const update = async () =>
        hadRows ? session.execute(merge.updateRows(shape, policy)) : Promise.resolve(0);
      const early = newFirst ? 0 : await update();
      const insertedRows = await session.execute(merge.insertRows(shape, policy));
      const updatedRows = newFirst ? await update() : early;
      await session.query('set constraints all immediate');
      await session.query(merge.markWrite(run));
      return [insertedRows, updatedRows];
    });
    if (inserted !== expected.inserted || updated !== expected.updated) {
      throw new LawBroken(
        `${shape.entity.target.table}: ${expected.inserted} rows to insert and ` +
          `${expected.updated} to update, ${inserted} and ${updated} written: ` +
          'a trigger or rule of the table drops rows',
      );
    }
  } catch (error) {
    if (!isDataError(error)) throw error;
    await session.query(merge.writeRowByRow(shape, run, policy));
    return true;
  }
  return false;
}

async function handleGone(
  context: RunContext,
  session: Session,
  { shape }: Work,
  scope: Scope,
): Promise<number> {
  const { entity } = shape;
  const [found] = await session.query<{ count: number }>(
    'select count(*) as count from pg_temp.gone',
  );
  const { count } = found ?? { count: 0 };
  if (entity.deletes === 'keep') {
    for (const statement of merge.listGone(shape, scope, context.run)) {
      await session.query(statement);
    }
    return count;
  }
  if (count === 0) return 0;
  // since the entity was last complete: ranges committed by a run that was refused count, too
  const [total] = await session.query<{ removed: number; mapped: number }>(
    `update migration.entities set removed = removed + $2 where entity = $1
     returning removed, removed - $2 + (
       select count(*) from ids.${merge.quoted(entity.name)}) as mapped`,
    [entity.name, count],
  );
  const { removed, mapped } = total ?? { removed: count, mapped: 0 };
  if (removed > Math.max(0.05 * mapped, 3) && !context.removeMany) {
    throw new LawBroken(
      `${entity.name}: ${removed} of ${mapped} rows are gone from the source and would be removed ` +
        '(more than 5 %); look at the source, and repeat with --yes if that is right',
    );
  }
  await asApplication(session, async () => {
    for (const statement of merge.removeGone(shape, context.run)) await session.query(statement);
  });
  return count;
}

/** Triggers of the application expect the search_path of their database. */
async function asApplication(session: Session, body: () => Promise<void>): Promise<void> {
  await session.query(`select pg_catalog.set_config('search_path', $1, true)`, [
    session.searchPath,
  ]);
  await body();
  await session.query(`select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)`);
}

/** The balance law of each range just read, counted where rows are kept, not where they were made. */
async function balanceRanges(session: Session, shape: Shape): Promise<void> {
  const [first] = await session.query<{
    range: number;
    source_rows: number;
    merged: number;
    rejected: number;
    filtered: number;
  }>(
    `select r.range, r.source_rows, r.merged, r.rejected, r.filtered
     from migration.ranges as r join pg_temp.batch_ranges as b on b.range = r.range
     where r.entity = $1 and r.source_rows <> r.merged + r.rejected + r.filtered
     order by 1 limit 1`,
    [shape.entity.name],
  );
  if (first === undefined) return;
  const from = shape.width * first.range;
  const where = shape.width === 0 ? '' : ` with keys from ${from} to ${from + shape.width - 1}`;
  throw new LawBroken(
    `${shape.entity.name} does not balance: ${first.source_rows} source rows${where}, but ` +
      `${first.merged} merged + ${first.rejected} rejected + ${first.filtered} filtered; ` +
      'the view must show every row of its driving table exactly once',
  );
}

/** All pieces are written: the look-ups it saw are where the next run begins. */
function reach(session: Session, { shape, plan }: Work): Promise<void> {
  return reachLookups(session, shape.entity, plan.seen, plan.pieces.length === 0);
}

/** Something is left to do through the link: of this run, or of one that was interrupted. */
async function isUnsettled(session: Session, { shape, plan }: Work): Promise<boolean> {
  return plan.pieces.length > 0 || hasBareRejects(session, shape);
}

/** What is left to do through the link when all pieces are written. */
async function settle(session: Session, shape: Shape): Promise<void> {
  await settleLookups(session, shape.entity);
  if (await hasBareRejects(session, shape)) await keepRejectedRows(session, shape);
}

/** Rejects without their source row, since the entity was last complete: older ones cannot be read. */
async function hasBareRejects(session: Session, shape: Shape): Promise<boolean> {
  if (shape.entity.source === null) return false;
  const rows = await session.query(
    `select from migration.rejects
     where entity = $1 and resolved_run is null and source_row is null
       and last_run > coalesce((
         select completed_run from migration.entities as e where e.entity = $1), 0) limit 1`,
    [shape.entity.name],
  );
  return rows.length > 0;
}

async function keepRejectedRows(session: Session, shape: Shape): Promise<void> {
  const all = merge.keepRejectedRows(shape);
  const single = merge.keepRejectedRows(shape, true);
  if (all === undefined || single === undefined) return;
  await reading(session, async () => {
    try {
      await savepoint(session, () => session.query(all));
    } catch (error) {
      if (!isDataError(error)) throw error;
      await session.query(single);
    }
  });
}

/** Totals, limits and the balance of the whole entity; `status` goes to the ledger. */
async function endEntity(
  context: RunContext,
  session: Session,
  work: Work,
  status: 'partial' | 'complete' = 'complete',
): Promise<Progress> {
  const { entity } = work.shape;
  const [state] = await session.query<{
    source: number;
    merged: number;
    rejected: number;
    filtered: number;
    errors: number;
  }>(
    `select
       coalesce(sum(r.source_rows), 0)::bigint as source,
       coalesce(sum(r.merged), 0)::bigint as merged,
       coalesce(sum(r.rejected), 0)::bigint as rejected,
       coalesce(sum(r.filtered), 0)::bigint as filtered,
       (select count(*) from migration.rejects as j
        where j.entity = $1 and j.resolved_run is null and j.kind = 'error') as errors
     from migration.ranges as r where r.entity = $1`,
    [entity.name],
  );
  if (state === undefined) throw new LawBroken(`${entity.name}: the ledger is unreadable`);
  const { actions } = work;
  const counts: Counts = {
    ...actions,
    source: state.source,
    unchanged: state.merged - actions.inserted - actions.updated - actions.kept,
    rejected: state.rejected,
    filtered: state.filtered,
  };
  if (counts.unchanged < 0 || state.source !== state.merged + state.rejected + state.filtered) {
    throw new LawBroken(
      `${entity.name} does not balance: ${JSON.stringify(counts)}; rows were lost or counted twice`,
    );
  }
  checkLimits(context, work.shape, state);
  await finishEntity(session, context.run, entity, counts, status);
  return {
    entity: entity.name,
    phase: entity.phase,
    state: 'done',
    done: work.doneRows,
    total: work.doneRows,
    counts,
    seconds: (Date.now() - work.started.getTime()) / 1000,
  };
}

function checkLimits(
  context: RunContext,
  { entity }: Shape,
  state: { source: number; rejected: number; filtered: number; errors: number },
): void {
  const rows = state.source - state.filtered;
  const rules = state.rejected - state.errors;
  const tolerance = entity.tolerance ?? context.tolerance;
  const allowed = Math.max(Math.floor(tolerance * rows), 3);
  if (rules > allowed) {
    throw new LawBroken(
      `${entity.name}: ${rules} of ${rows} rows are rejected by its rules, ${allowed} are allowed; ` +
        `look at them with \`runner rejects ${entity.name} --rows\`, correct ${entity.file}, or say ` +
        'there that more is expected (`-- tolerance  5 %`)',
    );
  }
  const allowedErrors = Math.max(Math.floor(0.001 * rows), 1);
  if (state.errors > allowedErrors) {
    throw new LawBroken(
      `${entity.name}: ${state.errors} of ${rows} rows were refused by the target or unreadable, ` +
        `${allowedErrors} are allowed; look at them with \`runner rejects ${entity.name} --rows\``,
    );
  }
}

function add(work: Work, piece: Piece, actions: Actions, context: RunContext): void {
  for (const key of Object.keys(NO_ACTIONS) as (keyof Actions)[]) work.actions[key] += actions[key];
  work.doneRows += piece.rows;
  context.report({
    entity: work.shape.entity.name,
    phase: work.shape.entity.phase,
    state: 'working',
    done: work.doneRows,
    total: work.plan.pieces.reduce((sum, { rows }) => sum + rows, 0),
  });
}

/** Tries again, with growing pauses, what a lock, a deadlock or a serialization failure stopped. */
export async function again<T>(context: RunContext, body: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await body();
    } catch (error) {
      if (attempt >= ATTEMPTS || !mayRetry(error) || context.dryRun) throw error;
      context.checkpoint();
      await sleep(Math.min(100 * 2 ** attempt, 5000) * (0.5 + Math.random() / 2));
    }
  }
}

function lazyLink(session: Session): { open: () => Promise<void>; close: () => Promise<void> } {
  let isOpen = false;
  return {
    open: async () => {
      if (!isOpen) await openLink(session);
      isOpen = true;
    },
    close: async () => {
      if (isOpen) await closeLink(session);
      isOpen = false;
    },
  };
}

function queueing(): <T>(body: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (body) => {
    const mine = last.then(body, body);
    last = mine.catch(() => {});
    return mine;
  };
}
