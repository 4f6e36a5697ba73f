import { type Catalog, targetSchemas, targetTables } from './catalog.ts';
import type { Config } from '../config.ts';
import { type Session, transaction } from '../database.ts';
import { throughLink } from '../connection/source.ts';
import { type Diagnosis, examineReferences, examineTarget } from './doctor.ts';
import { install } from './ledger.ts';
import { login } from './link.ts';
import { type PlanBasis, readBasis } from './plan-file.ts';
import { prepare } from './prepare.ts';
import { readShapes } from './preflight.ts';
import { render } from './render.ts';
import { runOptions } from './run.ts';
import type { Problem } from './text.ts';

/** What `up` would do with one entity; rows, source rows but for `new` and `changed`. */
export interface EntityForecast {
  phase: string;
  entity: string;
  /** Where its rows go, `schema.table`. */
  target: string;
  /** Its file, compared with the one it was last complete with. */
  file: 'new' | 'changed' | 'same';
  /** It is called: something to read, or an attempt that did not come to its end. */
  work: boolean;
  /** Rows in the source. */
  rows: number;
  read: number;
  new: number;
  /** There before us. */
  recognised: number;
  changed: number;
  gone: number;
  /** Rejects that are new, and open ones that are none any more. */
  opened: number;
  closed: number;
  /** Rejects that may be open after it. */
  rejects_allowed: number;
  rejects_after: number;
  /** Rows that may be removed without --yes; null where gone rows are kept. */
  removals_allowed: number | null;
  /** The numbers from `new` to `opened` are upper limits: nothing was read. */
  at_most: boolean;
  /** Of earlier runs, or of a rule of thumb where there are none. */
  seconds: number;
  measured: boolean;
  /** What its rows will take in the target; bytes. */
  bytes: number;
}

/** What `up` would do now. */
export interface Plan {
  problems: Problem[];
  /** Names of the schema changes that `up` makes first. */
  schemaChanges: string[];
  entities: EntityForecast[];
  /** Archive tables that are copied or compared. */
  archive: string[];
  /** Everything was read that `up` would read. */
  exact: boolean;
  /** Runs that were done before. */
  runs: number;
  /** Seconds of all of it. */
  seconds: number;
  /** About so many bytes more in the target. */
  bytes: { rows: number; ids: number; ledger: number };
  /** Tables whose rows are written, and how long writers of the same rows may wait; seconds. */
  locks: { phase: string; tables: string[]; waits: number }[];
  /** What `doctor` would say of roles and rights. */
  rights: Diagnosis[];
  basis: PlanBasis;
}

/** How to plan. */
export interface Planning {
  root: string;
  catalog: Catalog;
  config: Config;
  full: boolean;
  /** Read whatever `up` would read, however much it is. */
  exact: boolean;
  /** Schema changes that are pending, and what makes them in this transaction. */
  pending: string[];
  preview: () => Promise<void>;
  remark: (line: string) => void;
}

/** So many rows are read to know; more only where `exact` asks for it. */
const READ_TO_KNOW = 100_000;
/** Rows per second where no run has measured it; 5 to 20 thousand have been seen. */
const ROWS_PER_SECOND = 10_000;
/** Preparation, and what an entity costs however few rows it has; seconds. */
const SECONDS_OF_RUN = 2;
const SECONDS_OF_ENTITY = 0.05;
/** Measured over a first run: row and indexes of an id map, and what the ledger holds per row; bytes. */
const ID_BYTES = 170;
const LEDGER_BYTES = 40;
/** Of a row of a target table that has too few to tell. */
const ROW_BYTES = 400;

/**
 * Plans in a transaction that is rolled back: link, views and functions as `up` would build them, and
 * what it would read, read. Nothing of it stays, and no row of the application is locked.
 */
export async function readPlan(session: Session, options: Planning): Promise<Plan> {
  const { catalog, config } = options;
  const rights = await examineTarget(session, targetSchemas(catalog));
  return prepared(session, options, async ({ problems, archive, seen }) => {
    rights.push(...seen);
    const basis = await readBasis(session, options);
    const nothing = { entities: [], archive, exact: true, seconds: 0, locks: [] };
    const plan = { problems, schemaChanges: options.pending, rights, runs: basis.runs, basis };
    if (problems.length > 0) {
      return { ...plan, ...nothing, bytes: { rows: 0, ids: 0, ledger: 0 } };
    }
    rights.push(await examineReferences(session, targetTables(catalog)));
    const [toRead] = await session.query<{ rows: number }>(
      'select migration.rows_to_read() as rows',
    );
    const exact = options.exact || (toRead?.rows ?? 0) <= READ_TO_KNOW;
    const rows = await session.query<Forecast>('select * from migration.forecast($1)', [exact]);
    const entities = rows.map(forecastOf);
    return {
      ...plan,
      entities,
      archive,
      exact,
      seconds: SECONDS_OF_RUN + sum(entities, ({ seconds }) => seconds),
      bytes: bytesOf(entities),
      locks: locksOf(catalog, entities, config.jobs),
    };
  });
}

/** The statements that run for one entity; undefined with the problems that keep it from running. */
export async function readStatements(
  session: Session,
  options: Planning,
  entity: string,
): Promise<{ sql: string | undefined; problems: Problem[] }> {
  return prepared(session, options, async ({ problems }) => {
    if (problems.length > 0) return { sql: undefined, problems };
    const shape = (await readShapes(session, options.catalog)).get(entity);
    const sql = shape === undefined ? undefined : render(options.catalog.templates, shape);
    return { sql, problems };
  });
}

async function prepared<T>(
  session: Session,
  { root, catalog, config, full, pending, preview, remark }: Planning,
  body: (found: { problems: Problem[]; archive: string[]; seen: Diagnosis[] }) => Promise<T>,
): Promise<T> {
  const { source } = config;
  await login(session, source);
  const inside = async (): Promise<T> => {
    await install(session, catalog, (make) => make());
    if (pending.length > 0) await preview();
    const options = { catalog, config, full, jobs: config.jobs, removeMany: false };
    await session.query(`select set_config('migration.options', $1, true)`, [
      JSON.stringify(runOptions({ ...options, policy: 'source' })),
    ]);
    const seen: Diagnosis[] = [];
    const refuse = (found: Diagnosis[]) => {
      seen.push(...found);
    };
    const { problems, archive } = await prepare(session, {
      root,
      catalog,
      source,
      run: 0,
      checks: false,
      remark,
      refuse,
    });
    const tables = archive.filter(({ open }) => open).map(({ entity }) => entity);
    return body({ problems, archive: tables, seen });
  };
  return throughLink(source, () => transaction(session, inside, { commit: false }));
}

/** A row of `migration.forecast`. */
type Forecast = Omit<EntityForecast, 'seconds' | 'bytes'> & {
  /** Seconds per row in the runs before; null where there are none. */
  pace: number | null;
  row_bytes: number | null;
};

function forecastOf({ pace, row_bytes: size, ...row }: Forecast): EntityForecast {
  const seconds = row.work ? SECONDS_OF_ENTITY + row.read * (pace ?? 1 / ROWS_PER_SECOND) : 0;
  return { ...row, seconds, bytes: (row.new + row.changed) * (size ?? ROW_BYTES) };
}

function bytesOf(entities: EntityForecast[]): Plan['bytes'] {
  const added = sum(entities, (each) => each.new + each.recognised);
  return {
    rows: sum(entities, ({ bytes }) => bytes),
    ids: added * ID_BYTES,
    ledger: sum(entities, ({ read }) => read) * LEDGER_BYTES,
  };
}

/** Rows are read, or are no rows to store any more. */
export function movesRows({ read, gone, closed }: EntityForecast): boolean {
  return read + gone + closed > 0;
}

/** A phase holds what it has changed until it commits; one that commits range by range, a chunk. */
function locksOf(catalog: Catalog, entities: EntityForecast[], jobs: number): Plan['locks'] {
  return catalog.phases.flatMap(({ name, entities: files }) => {
    const own = entities.filter((each) => each.phase === name && each.work && movesRows(each));
    if (own.length === 0) return [];
    const tables = [...new Set(own.map(({ target }) => target))].toSorted();
    // what is inserted nobody else sees
    const existing = own.filter(
      (e) => e.changed + e.recognised + (e.removals_allowed === null ? 0 : e.gone) > 0,
    );
    const byChunk = files.some(({ commitBatch }) => commitBatch);
    const longest = Math.max(
      0,
      ...existing.map((e) => e.seconds * Math.min(1, 60_000 / Math.max(1, e.read))),
    );
    const waits =
      existing.length === 0
        ? 0
        : byChunk
          ? longest * Math.max(1, jobs)
          : sum(own, (e) => e.seconds);
    return [{ phase: name, tables, waits }];
  });
}

function sum<Item>(items: Item[], of: (item: Item) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
