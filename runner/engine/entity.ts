import { setTimeout as sleep } from 'node:timers/promises';

import type { Catalog, Entity } from './catalog.ts';
import { mayRetry, type Session } from '../database.ts';
import type { Happening } from './events.ts';
import type { Counts } from './ledger.ts';
import type { Checking } from './phase-checks.ts';
import type { EntityPlan } from './prepare.ts';
import { literal } from '../quote.ts';
import { pauseAfter } from '../transactions.ts';

/* What is sent for one entity, and how far it is; the transactions around it are its phase's. */

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

/** Says what is worked at: what is blamed when that fails. Nothing = the phase as a whole. */
export type Begin = (name?: string) => void;

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

/** Reads a chunk into the temporary tables of the session. */
export function reading({ name }: Entity, { chunk }: Chunk): string[] {
  return [`select migration.read_chunk(${literal(name)}, ${chunk})`];
}

/** Writes the chunk that the session has read. */
export function writing({ name }: Entity, { chunk }: Chunk): string[] {
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
