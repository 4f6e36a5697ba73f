import { connect, type Session } from '../database.ts';
import type { Config, Endpoint } from '../config.ts';
import { question } from '../engine/question.ts';

/** A column as the catalog of its side has it; a domain is the type below it. */
export interface TableColumn {
  name: string;
  /** As format_type prints it there: `character varying(50)`. */
  type: string;
  /** Values of an enum; null where it is none. */
  labels: string[] | null;
  type_schema: string;
  type_name: string;
  required: boolean;
  has_default: boolean;
  /** Computed from others of its row: nothing can be written to it. */
  generated: boolean;
}

/** A table, view, materialized view or foreign table (question `tables`). */
export interface Table {
  schema: string;
  name: string;
  /** `pg_class.relkind`: r, p, f, v, m. */
  kind: string;
  /** As the planner estimates it. */
  row_count: number;
  columns: TableColumn[];
  /** Columns of each unique index over plain columns, that of the primary key first. */
  keys: string[][];
  foreign_keys: { columns: string[]; schema: string; table: string; referred: string[] }[];
}

/** Schemas of the platform and of the engine: no tables of the application. */
const PLATFORM =
  /^(auth|storage|_?realtime|vault|extensions|graphql(_public)?|pgbouncer|pgsodium|cron|net|supabase_.*|_analytics|migration|ids|transform|merge|legacy(_.*)?)$/;

/** True for a table of the target that a mapping may fill. */
export function isOfApplication({ schema }: Table): boolean {
  return !PLATFORM.test(schema);
}

/** The relations of these schemas, sorted by schema and name. Reads catalogs only. */
async function readTables(session: Session, schemas: string[]): Promise<Table[]> {
  const tables = await session.query<Table>(question('tables'), [schemas]);
  // not as the server sorts, which is another way on the other side
  const order = ({ schema, name }: Table) => `${schema}\n${name}`;
  return tables.toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

/**
 * Reads the catalog of one side, over a connection from this machine; no schemas = all that the account may use.
 * Throws CouldNotConnect.
 */
export async function readSide(
  endpoint: Endpoint,
  side: 'source' | 'target',
  schemas: string[],
): Promise<Table[]> {
  const session = await connect(endpoint, 'runner scaffold', side);
  try {
    return await readTables(session, schemas);
  } finally {
    await session.close();
  }
}

/** Reads the catalogs of both databases, that of the target first. Throws CouldNotConnect. */
export async function readBoth(
  { source, sourceFromHere = source, target }: Pick<Config, 'source' | 'sourceFromHere' | 'target'>,
  schemas: { source: string[]; target: string[] },
): Promise<{ source: Table[]; target: Table[] }> {
  const there = await readSide(target, 'target', schemas.target);
  return { source: await readSide(sourceFromHere, 'source', schemas.source), target: there };
}
