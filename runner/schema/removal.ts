import type { Catalog } from '../engine/catalog.ts';
import { isThere, type Session } from '../database.ts';

/** The removal has four phases, one file each. */
export const LAST_PHASE = 4;

/** A column to be removed; `table` with its schema, `public.people`. */
export interface RemovalColumn {
  table: string;
  column: string;
  /** Values in the backup; 0 before phase 1. */
  kept: number;
}

/** Something in the database that uses a column. What does not block works on without it. */
export interface Dependent {
  table: string;
  column: string;
  kind: string;
  object: string;
  /** `catalog`, `its text` (a body in quotes), `its columns` (an entity that supplies it). */
  seenIn: string;
  blocks: boolean;
  advice: string;
}

/** Who wrote a column since phase 2; never what. */
export interface Write {
  table: string;
  column: string;
  role: string;
  application: string;
  client: string;
  times: number;
  /** ISO 8601, UTC. */
  last: string;
}

/** A statement that names a column and ran since phase 2 (pg_stat_statements). */
export interface Read {
  table: string;
  column: string;
  query: string;
  calls: number;
}

/** What is known about the columns to be removed. */
export interface Removal {
  columns: RemovalColumn[];
  dependents: Dependent[];
  writes: Write[];
  reads: Read[];
}

/**
 * Reads what uses the columns and who used them; all of it is found by SQL (engine/80_removal.sql).
 * undefined before the first `up` of a runner that knows the removal.
 */
export async function readRemoval(session: Session): Promise<Removal | undefined> {
  if (!(await isThere(session, 'migration.removal_state'))) return undefined;
  const [row] = await session.query<{ state: Removal }>(
    'select migration.removal_state() as state',
  );
  return row?.state;
}

/**
 * Entities that fill a table with columns to be removed and are not complete, in the order in which
 * they run. The removal comes after them: what they write must be in the backup.
 */
export async function unfinishedEntities(session: Session, catalog: Catalog): Promise<string[]> {
  const tables = catalog.removal.map(({ schema, table }) => `${schema}.${table}`);
  const touching = catalog.phases
    .flatMap(({ entities }) => entities)
    .filter(
      ({ target, text }) =>
        tables.includes(`${target.schema}.${target.table}`) ||
        tables.some((table) => new RegExp(`\\b${table}\\b`).test(text)),
    )
    .map(({ name }) => name);
  const rows = await session.query<{ name: string }>(
    'select u.name from migration.unfinished($1) as u (name)',
    [touching],
  );
  const unfinished = new Set(rows.map(({ name }) => name));
  return touching.filter((name) => unfinished.has(name));
}
