import type { Catalog } from './catalog.ts';
import type { Session } from './database.ts';

/** The removal has four phases, one file each. */
export const LAST_PHASE = 4;

/** A column to be removed; `table` with its schema, `public.profiles`. */
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
  const [there] = await session.query<{ there: boolean }>(
    `select pg_catalog.to_regprocedure('migration.removal_dependents()') is not null as there`,
  );
  if (there?.there !== true) return undefined;
  return {
    columns: await session.query<RemovalColumn>(
      `select concat(w.table_schema, '.', w.table_name) as table, w.column_name as column,
         (select count(*) from migration.column_backups as b
          where b.table_name = concat(w.table_schema, '.', w.table_name)
            and b.column_name = w.column_name) as kept
       from migration.removal_columns as w order by 1, 2`,
    ),
    dependents: await session.query<Dependent>(
      `select table_name as table, column_name as column, kind, object, seen_in as "seenIn",
         blocks, advice
       from migration.removal_dependents()`,
    ),
    writes: await session.query<Write>(
      `select table_name as table, column_name as column, role, application, client,
         count(*) as times,
         to_char(max(at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as last
       from migration.column_writes
       group by table_name, column_name, role, application, client
       order by 1, 2, 3, 4, 5`,
    ),
    reads: await session.query<Read>(
      `select table_name as table, column_name as column, query, calls
       from migration.column_reads()`,
    ),
  };
}

/**
 * Entities that fill a table with columns to be removed and are not complete, in the order in which
 * they run. The removal comes after them: what they write must be in the backup.
 */
export async function unfinishedEntities(session: Session, catalog: Catalog): Promise<string[]> {
  const tables = new Set(
    (
      await session.query<{ name: string }>(
        `select distinct concat(table_schema, '.', table_name) as name
         from migration.removal_columns`,
      )
    ).map(({ name }) => name),
  );
  const complete = new Set(
    (
      await session.query<{ entity: string }>(
        `select entity from migration.entities where status = 'complete'`,
      )
    ).map(({ entity }) => entity),
  );
  return catalog.phases
    .flatMap(({ entities }) => entities)
    .filter(
      ({ name, target, text }) =>
        !complete.has(name) &&
        (tables.has(`${target.schema}.${target.table}`) ||
          [...tables].some((table) => new RegExp(`\\b${table}\\b`).test(text))),
    )
    .map(({ name }) => name);
}
