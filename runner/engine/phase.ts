import { setTimeout as sleep } from 'node:timers/promises';

import type { Catalog, Entity, Phase } from './catalog.ts';
import { addCounts, type Happening } from './events.ts';
import {
  type Checked,
  type Checking,
  checkPhase,
  ending,
  isUnproven,
  LawBroken,
} from './phase-checks.ts';
import { blamedOn } from '../conditions.ts';
import {
  batch,
  ConnectionLost,
  failureOf,
  mayRetry,
  type Session,
  transaction,
} from '../database.ts';
import { type Counts, holdLease } from './ledger.ts';
import { closeLink } from './link.ts';
import type { EntityPlan } from './prepare.ts';
import { isSelfMapped } from './render.ts';
import { literal } from '../quote.ts';
import { type Task, workThrough } from './pool.ts';
import { pauseAfter } from '../transactions.ts';
import { queueing } from './two.ts';

/** What a run decided before its first phase. */
export interface RunContext extends Checking {
  run: number;
  catalog: Catalog;
  /** What is to be done, by entity or archive table, as it was planned before the first phase. */
  plans: Map<string, EntityPlan>;
  /** Entities whose id map has grown in this run: those that read it are planned again. */
  grown: Set<string>;
  /** Everything is rolled back in the end: no transaction of its own for a phase. */
  dryRun: boolean;
  /** The first works alone, the others help where chunks are committed one by one. */
  sessions: [Session, ...Session[]];
  /** Throws when the run is to stop. */
  checkpoint: () => void;
}

/** An entity of which everything is done; committed where its phase is. */
export type Done = Extract<Happening, { type: 'entity.done' }>;

/** A phase that did not come out right; the message says what, the rest what is true now. */
export class PhaseFailed extends Error {
  override readonly name = 'PhaseFailed';
  readonly phase: string;
  readonly entity: string | undefined;
  /** True where ranges were committed before the failure. */
  readonly committed: boolean;
  constructor(
    phase: string,
    entity: string | undefined,
    message: string,
    committed: boolean,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.phase = phase;
    this.entity = entity;
    this.committed = committed;
  }
}

const ATTEMPTS = 6;
interface Chunk {
  chunk: number;
  rows: number;
}

/** An entity at work. */
interface Work {
  entity: Entity;
  started: Date;
  chunks: Chunk[];
  mapSize: number;
  doneRows: number;
}

/**
 * Runs a phase: in one transaction, or chunk by chunk where an entity says `commit batch`. Entities
 * without work are not called. After an error that time may heal (lock, deadlock, serialization) it
 * is tried again, reading included. Throws PhaseFailed; the failed attempt is in the ledger then,
 * unless it is a dry run.
 */
export async function runPhase(context: RunContext, phase: Phase): Promise<void> {
  if (!phase.entities.some((entity) => hasWork(context, entity))) return;
  const byChunk = !context.dryRun && phase.entities.some(({ commitBatch }) => commitBatch);
  await attemptPhase(context, phase, byChunk, (begin) =>
    byChunk
      ? runByChunks(context, phase, begin)
      : inOne(context, (session) => runWhole(context, session, phase, begin)),
  );
}

/** Something to read, an attempt that did not end, or an id map it reads has grown in this run. */
function hasWork({ plans, grown }: RunContext, { name, idMaps }: Entity): boolean {
  return (plans.get(name)?.open ?? true) || idMaps.some((map) => map !== name && grown.has(map));
}

/** Says what is worked at: what is blamed when that fails. Nothing = the phase as a whole. */
export type Begin = (name?: string) => void;

/**
 * Runs a phase, or the archive. A law or a statement that fails is entered in the ledger, in a
 * transaction of its own, unless it is a dry run: what is blamed is open again. Throws PhaseFailed.
 */
export async function attemptPhase(
  context: RunContext,
  checked: Checked,
  committed: boolean,
  body: (begin: Begin) => Promise<Done[]>,
): Promise<void> {
  const { name: phase, entities } = checked;
  const plans = entities.flatMap(({ name }) => context.plans.get(name) ?? []);
  const rows = plans.reduce((sum, plan) => sum + plan.row_count, 0);
  const open = plans.filter((plan) => plan.open).length;
  const started = Date.now();
  context.report({ type: 'phase.started', phase, entities: open, rows });
  try {
    const all = await tryPhase(context, checked, committed, body);
    const done = new Map(all.map((each) => [each.entity, each]));
    context.report({
      type: context.dryRun ? 'phase.rehearsed' : 'phase.committed',
      phase,
      entities: done.size,
      of: entities.length,
      counts: addCounts([...done.values()].map(({ counts }) => counts)),
      ms: Date.now() - started,
    });
  } catch (error) {
    // of a COMMIT that was sent nothing is known
    if (!(error instanceof ConnectionLost)) {
      context.report({
        type: committed ? 'phase.failed' : 'phase.rolledback',
        phase,
        entity: error instanceof PhaseFailed ? (error.entity ?? null) : null,
        message: error instanceof Error ? error.message : String(error),
        ms: Date.now() - started,
      });
    }
    throw error;
  }
}

async function tryPhase(
  context: RunContext,
  { name, entities }: Checked,
  committed: boolean,
  body: (begin: Begin) => Promise<Done[]>,
): Promise<Done[]> {
  let at: string | undefined;
  let started = new Date();
  const begin = (entity?: string) => {
    context.checkpoint();
    at = entity;
    started = new Date();
  };
  try {
    return await body(begin);
  } catch (error) {
    const failure = failureOf(error);
    if (!(error instanceof LawBroken) && failure === undefined) throw error;
    context.checkpoint();
    const said = error instanceof Error ? error.message : String(error);
    // the laws of the engine name what they are about, the server does not
    const named = failure?.code.startsWith('MIG') ?? true;
    const file = entities.find((entity) => entity.name === at)?.file;
    const message = named || failure === undefined ? said : blamedOn(at, file, failure.code, said);
    const blamed = at === undefined ? entities.map((entity) => entity.name) : [at];
    if (!context.dryRun) {
      await noteFailure(context, { blamed, started, message, refused: failure?.refused });
    }
    throw new PhaseFailed(name, at, message, committed, error);
  }
}

/** One transaction of the run, tried again where time may heal; part of the one of a dry run. */
export async function inOne(
  context: RunContext,
  body: (session: Session) => Promise<Done[]>,
): Promise<Done[]> {
  const [session] = context.sessions;
  const held = async () => {
    await holdLease(session, context.run);
    return body(session);
  };
  const done = await again(context, () => (context.dryRun ? held() : transaction(session, held)));
  for (const each of done) context.report(each);
  return done;
}

/** `refused`: the rows it failed for, as the engine says them; they fell with the transaction. */
async function noteFailure(
  { run, sessions: [session] }: RunContext,
  what: { blamed: string[]; started: Date; message: string; refused: string | undefined },
): Promise<void> {
  const { blamed, started, message, refused } = what;
  await transaction(session, async () => {
    await holdLease(session, run);
    await session.query('select migration.fail_entities($1, $2, $3)', [
      blamed,
      started.toISOString(),
      message,
    ]);
    if (refused === undefined) return;
    await session.query('select migration.keep_refused($1, $2::text::jsonb)', [blamed, refused]);
  });
}

/** A savepoint per entity and per chunk, the link open as long as it is read. */
async function runWhole(
  context: RunContext,
  session: Session,
  phase: Phase,
  begin: Begin,
): Promise<Done[]> {
  const done: Done[] = [];
  const unproven = await isUnproven(session, phase.name);
  const merge = async (entity: Entity, retrying: boolean): Promise<void> => {
    begin(entity.name);
    const work = await startEntity(context, entity, retrying, (calls) =>
      session.batch(['savepoint entity', ...calls]),
    );
    for (const chunk of work.chunks) {
      context.checkpoint();
      await session.batch([
        'savepoint chunk',
        'select migration.await_link()',
        ...reading(entity, chunk),
        ...writing(entity, chunk),
        'release savepoint chunk',
      ]);
      advance(context, work, chunk);
    }
    done.push(
      await endEntity(context, work, true, retrying, (calls) =>
        session.batch(['select migration.await_link()', ...calls, 'release savepoint entity']),
      ),
    );
  };
  for (const entity of phase.entities) if (hasWork(context, entity)) await merge(entity, false);
  for (const entity of await refusedEntities(session, phase)) await merge(entity, true);
  begin();
  await closeLink(session);
  await checkPhase(context, session, phase, done, unproven);
  return done;
}

/** Every entity chunk by chunk; the checks look at what is written, and it is complete if they pass. */
async function runByChunks(context: RunContext, phase: Phase, begin: Begin): Promise<Done[]> {
  const [session] = context.sessions;
  const unproven = await isUnproven(session, phase.name);
  const done = await mergeByChunks(context, phase.entities, { unproven, retrying: false, begin });
  for (const entity of await refusedEntities(session, phase)) {
    done.push(...(await mergeByChunks(context, [entity], { unproven, retrying: true, begin })));
  }
  begin();
  await transaction(session, async () => {
    await holdLease(session, context.run);
    await session.query(ending(phase.name));
    await checkPhase(context, session, phase, done, unproven, context.sessions[1]);
    await session.query('select migration.complete_entities($1)', [
      phase.entities.map(({ name }) => name),
    ]);
  });
  return done;
}

/**
 * Chunk by chunk: a transaction that reads, a transaction that writes. Sessions work side by side, at
 * chunks of one entity and at entities that do not wait for each other.
 */
async function mergeByChunks(
  context: RunContext,
  entities: readonly Entity[],
  { unproven, retrying, begin }: { unproven: boolean; retrying: boolean; begin: Begin },
): Promise<Done[]> {
  const lease = `select migration.hold_lease(${context.run})`;
  const done: Done[] = [];
  const open = new Set(entities);
  const waiting = new Set(entities);
  // one session at a time holds the link: reads queue, writes overlap
  const turn = queueing();

  const task = (entity: Entity, run: (session: Session) => Promise<Task[]>): Task => ({
    rank: entities.indexOf(entity),
    run: async (session) => {
      context.checkpoint();
      try {
        return await again(context, () => run(session));
      } catch (error) {
        // others are at work, too: this is the one to blame
        begin(entity.name);
        throw error;
      }
    },
  });
  /** What can begin now; an entity without work is done with. */
  const next = (): Task[] =>
    [...waiting].flatMap((entity) => {
      const before = [...open].filter(
        (other) => entities.indexOf(other) < entities.indexOf(entity),
      );
      if (before.some((other) => waitsFor(entity, other))) return [];
      waiting.delete(entity);
      if (retrying || hasWork(context, entity)) return [start(entity)];
      open.delete(entity);
      return [];
    });
  const start = (entity: Entity): Task =>
    task(entity, async (session) => {
      const work = await startEntity(context, entity, retrying, (calls) =>
        batch(session, [lease, ...calls]),
      );
      if (work.chunks.length === 0) return [end(work)];
      let left = work.chunks.length;
      return work.chunks.map((chunk) => {
        return task(entity, async (worker) => {
          await mergeChunk(worker, entity, chunk);
          advance(context, work, chunk);
          left -= 1;
          return left === 0 ? [end(work)] : [];
        });
      });
    });
  const mergeChunk = async (worker: Session, entity: Entity, chunk: Chunk): Promise<void> => {
    const read = ['select migration.await_link()', ...reading(entity, chunk)];
    const write = writing(entity, chunk);
    if (isSelfMapped(entity)) {
      await turn(() => batch(worker, [lease, ...read, ...write, CLOSE]));
      return;
    }
    await turn(() => batch(worker, [...read, CLOSE], { lockTimeout: '60s' }));
    await batch(worker, [lease, ...write]);
  };
  const end = (work: Work): Task =>
    task(work.entity, async (session) => {
      // the data checks of the phase are still to come, and a crash before them must be seen
      const complete = !unproven && work.chunks.length === 0;
      const ended = await endEntity(context, work, complete, retrying, (calls) =>
        turn(() => batch(session, [lease, 'select migration.await_link()', ...calls, CLOSE])),
      );
      context.report(ended);
      done.push(ended);
      open.delete(work.entity);
      return next();
    });

  await workThrough(context.sessions, next());
  return done;
}

/** For the ids it makes, or for what it does in the same table; `other` is the earlier one. */
function waitsFor({ idMaps, target }: Entity, other: Entity): boolean {
  const { schema, table } = other.target;
  return idMaps.includes(other.name) || (target.schema === schema && target.table === table);
}

const CLOSE = 'select migration.close_link()';

/** Entities whose rows may be taken now that all others of the phase are there. */
async function refusedEntities(session: Session, { name, entities }: Phase): Promise<Entity[]> {
  const rows = await session.query<{ entity: string }>(
    'select * from migration.refused_entities($1)',
    [name],
  );
  return entities.filter((entity) => rows.some((row) => row.entity === entity.name));
}

function reading({ name }: Entity, { chunk }: Chunk): string[] {
  return [`select migration.read_chunk(${literal(name)}, ${chunk})`];
}

function writing({ name }: Entity, { chunk }: Chunk): string[] {
  return [`select migration.write_chunk(${literal(name)}, ${chunk})`];
}

/** Sends calls; their rows. */
type Send = (calls: string[]) => Promise<Record<string, unknown>[]>;

/** The row with a column among those of several calls. */
function rowWith<Row>(column: keyof Row & string, rows: Record<string, unknown>[]): Row {
  const row = rows.find((each) => column in each);
  if (row === undefined) throw new Error(`the target answered without ${column}`);
  return row as Row;
}

async function startEntity(
  context: RunContext,
  entity: Entity,
  retrying: boolean,
  send: Send,
): Promise<Work> {
  const { name, phase } = entity;
  const started = new Date();
  const { chunks, map_size: mapSize } = rowWith<{ chunks: Chunk[]; map_size: number }>(
    'chunks',
    await send([`select * from migration.start_entity(${literal(name)}, ${String(retrying)})`]),
  );
  const total = chunks.reduce((sum, { rows }) => sum + rows, 0);
  context.report({ type: 'entity.progress', entity: name, phase, done: 0, total });
  return { entity, started, chunks, mapSize, doneRows: 0 };
}

async function endEntity(
  context: RunContext,
  { entity: { name, phase }, started, mapSize }: Work,
  complete: boolean,
  retrying: boolean,
  send: Send,
): Promise<Done> {
  const { counts, map_size: size } = rowWith<{ counts: Counts; map_size: number }>(
    'counts',
    await send([
      `select * from migration.end_entity(${literal(name)}, ${String(complete)}, ${String(retrying)})`,
    ]),
  );
  if (size > mapSize) context.grown.add(name);
  return { type: 'entity.done', entity: name, phase, counts, ms: Date.now() - started.getTime() };
}

function advance(context: RunContext, work: Work, { rows }: Chunk): void {
  work.doneRows += rows;
  context.report({
    type: 'entity.progress',
    entity: work.entity.name,
    phase: work.entity.phase,
    done: work.doneRows,
    total: work.chunks.reduce((sum, chunk) => sum + chunk.rows, 0),
  });
}

/** Tries again, with growing pauses, what a lock, a deadlock or a serialization failure stopped. */
async function again<T>(context: RunContext, body: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await body();
    } catch (error) {
      if (attempt >= ATTEMPTS || !mayRetry(error) || context.dryRun) throw error;
      context.checkpoint();
      await sleep(pauseAfter(attempt));
    }
  }
}
