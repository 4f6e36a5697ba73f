import { setTimeout as sleep } from 'node:timers/promises';

import type { Catalog } from './catalog.ts';
import type { Entity } from './entity-file.ts';
import { mayRetry, type Session } from '../database.ts';
import type { Happening } from './events.ts';
import type { Counts } from './ledger.ts';
import type { Checking } from './phase-checks.ts';
import type { EntityPlan } from './prepare.ts';
import { bound, literal } from '../quote.ts';
import type { Hear, Said } from '../said.ts';
import { pauseAfter } from '../transactions.ts';

/* What is sent for one entity, and how far it is; the transactions around it are its phase's. */

/** What a run decided before its first phase. */
export interface RunContext extends Checking {
  run: number;
  catalog: Catalog;
  /** What is to be done, by entity or archive table, as it was planned before the first phase. */
  plans: Map<string, EntityPlan>;
  /** Phases of which an attempt before this run did not come to its end: their checks have yet to pass. */
  unproven: Set<string>;
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

/** Says what is worked at: what is blamed when that fails. Nothing = the phase as a whole. */
export type Begin = (name?: string) => void;

/** How entities are merged together. */
export interface Together {
  /** All of an entity is complete then; null: if nothing had to be read, since checks are to come. */
  complete: boolean | null;
  /** What the target refused is tried once more. */
  retrying: boolean;
  begin: Begin;
}

const ATTEMPTS = 6;
export interface Chunk {
  chunk: number;
  rows: number;
}

/** An entity at work. */
export interface Work {
  entity: Entity;
  started: Date;
  chunks: Chunk[];
  mapSize: number;
  doneRows: number;
}

/** Something to read, an attempt that did not end, or an id map it reads has grown in this run. */
export function hasWork({ plans, grown }: RunContext, { name, idMaps }: Entity): boolean {
  return (plans.get(name)?.open ?? true) || idMaps.some((map) => map !== name && grown.has(map));
}

/**
 * The entities that come next and can be merged together, taken from the front of the list: those with
 * work, up to one without of which only their new ids can tell. Those before that have none are dropped.
 */
export function takeTogether(context: RunContext, left: Entity[]): Entity[] {
  const taken: Entity[] = [];
  for (let entity = left[0]; entity !== undefined; [entity] = left) {
    if (hasWork(context, entity)) taken.push(entity);
    else if (entity.idMaps.some((map) => taken.some(({ name }) => name === map))) break;
    left.shift();
  }
  return taken;
}

/** Merges entities in their order, a call each, all in one message that `send` completes. */
export async function mergeTogether(
  context: RunContext,
  entities: readonly Entity[],
  { complete, retrying, begin }: Together,
  send: (calls: string[], hear: Hear) => Promise<Record<string, unknown>[]>,
): Promise<Done[]> {
  const calls = entities.map(
    ({ name }) =>
      `select * from migration.merge_entity(${literal(name)}, ${String(complete)}, ${String(retrying)})`,
  );
  const rows = await send(calls, (said) => {
    hear(context, said, begin);
  });
  return rows
    .filter((row) => 'has_grown' in row)
    .map((row) => {
      const { entity, counts, has_grown: hasGrown, ms } = row as unknown as Merged;
      if (hasGrown) context.grown.add(entity);
      return { type: 'entity.done', entity, phase: context.defined[entity] ?? '', counts, ms };
    });
}

/** A row of `migration.merge_entity`. */
interface Merged {
  entity: string;
  counts: Counts;
  has_grown: boolean;
  ms: number;
}

/** What is left to be read of entities that have ended; the link is open. */
export function settling(names: string[]): string {
  return bound('select migration.settle_entities($1)', [names]);
}

/** What the engine says while a message runs: what it is at, and how far. */
export function hear(context: RunContext, { entity, done, total }: Said, begin: Begin): void {
  begin(entity);
  if (done === null || total === null) return;
  const phase = context.defined[entity] ?? '';
  context.report({ type: 'entity.progress', entity, phase, done, total });
}

/** Reads a chunk into the temporary tables of the session. */
export function readChunk({ name }: Entity, { chunk }: Chunk): string[] {
  return [`select migration.read_chunk(${literal(name)}, ${chunk})`];
}

/** The same of the first chunk, if there is one. */
export function readFirst({ name }: Entity): string[] {
  return [`select migration.read_first(${literal(name)})`];
}

/** Writes the chunk that the session has read. */
export function writeChunk({ name }: Entity, { chunk }: Chunk): string[] {
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

/** An entity begins: what is to be read of it, in chunks. */
export async function startEntity(
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

/** An entity is written: its totals, limits and balance. */
export async function endEntity(
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

/** A chunk of it is written. */
export function advance(context: RunContext, work: Work, { rows }: Chunk): void {
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
export async function again<T>(context: RunContext, body: () => Promise<T>): Promise<T> {
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
