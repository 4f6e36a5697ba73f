/* `up` in this process: as the runner does it, without the second a new process takes. */
import { join } from 'node:path';
import type { Sql } from 'postgres';
import * as assert from 'uvu/assert';
import { inPart } from '../checks/cases/index.ts';
import { type Phase, readCatalog } from '../runner/engine/catalog.ts';
import { type Config, parseUrl } from '../runner/config.ts';
import { runUp, type UpOptions } from '../runner/engine/run.ts';
import { migratedPair, targetBeside, testPair, type TestPair } from './pair.ts';
import {
  changeSchema,
  type Databases,
  type Dump,
  dumpRows,
  open,
  ROOT,
  waitFor,
} from './runner.ts';

/** What differs from a plain `up` of phases 1 to 3. */
export type MigrateOptions = Partial<
  Pick<
    UpOptions,
    | 'root'
    | 'full'
    | 'clearSecrets'
    | 'policy'
    | 'removeMany'
    | 'jobs'
    | 'pieceRows'
    | 'report'
    | 'remark'
  >
> & {
  /** How many phases, from the first. */
  phases?: number;
  /** The names of the phases to run, whatever `phases` says. */
  only?: string[];
  /**
   * Of the phases these, and what they stand on (inPart): a smaller project, without data checks of its own.
   */
  entities?: string[];
  archive?: boolean;
  /** Share of rows that rules may reject where the file says nothing, default 2 %. */
  tolerance?: number;
};

/** A folder without data checks. */
export const WITHOUT_CHECKS = join(ROOT, 'test');

/** Runs `up`; the schema changes have to be there. Returns the number of the run. */
export async function migrate(urls: Databases, options: MigrateOptions = {}): Promise<number> {
  const root = options.root ?? ROOT;
  const catalog = readCatalog(root);
  const { only, entities } = options;
  const whole: Phase[] = catalog.phases
    .slice(0, only === undefined ? (options.phases ?? 3) : undefined)
    .filter(({ name }) => only?.includes(name) ?? true);
  const named = whole
    .flatMap((phase) => phase.entities)
    .filter(({ name }) => entities?.includes(name));
  const phases = entities === undefined ? whole : inPart(whole, named);
  return runUp({
    full: false,
    policy: 'source',
    removeMany: false,
    jobs: 2,
    report: () => {},
    remark: () => {},
    ...options,
    root: entities === undefined ? root : WITHOUT_CHECKS,
    config: { ...configOf(urls), rejectTolerance: options.tolerance ?? 0.02 },
    catalog: entities === undefined ? catalog : { ...catalog, phases, archive: [] },
    phases,
    archive: options.archive ?? false,
    dryRun: false,
    applySchema: () => Promise.resolve([]),
    interrupt: { requested: false, cancel: () => {} },
  });
}

/** The configuration of a pair; 2 % of rejects are allowed where the file says nothing. */
export function configOf({ sourceUrl, targetUrl }: Databases): Config {
  const [source, target] = [parseUrl(sourceUrl), parseUrl(targetUrl)];
  if (typeof source === 'string' || typeof target === 'string') throw new Error('no URL of a pair');
  return { source, target, jobs: 2, rejectTolerance: 0.02 };
}

/** How many rows a run read of each entity, where it read any. */
export async function rowsRead(target: Sql, run: number): Promise<Record<string, number>> {
  const rows = await target<{ entity: string; rows: number }[]>`
    select entity, rows_read::integer as rows from migration.control
    where run = ${run} and rows_read > 0 order by entity`;
  return Object.fromEntries(rows.map(({ entity, rows: read }) => [entity, read]));
}

/** What a run did with the rows of each entity, where it did anything: `inserted updated kept gone`. */
export async function rowsWritten(target: Sql, run: number): Promise<Record<string, string>> {
  const rows = await target<{ entity: string; line: string }[]>`
    select entity, concat_ws(' ', inserted, updated, kept, gone) as line from migration.control
    where run = ${run} and inserted + updated + kept + gone > 0 order by entity`;
  return Object.fromEntries(rows.map(({ entity, line }) => [entity, line]));
}

/**
 * All rows of a project (see dumpRows, `clock: false`) but those of keys listed as gone: what a
 * migration from nothing would hold as well.
 */
export async function liveRows(target: Sql, root = ROOT): Promise<Dump> {
  const gone = await target<{ id: string }[]>`select id::text from migration.gone`;
  const ids = new Set(gone.map(({ id }) => id));
  const dump = await dumpRows(target, { clock: false, root });
  for (const [table, rows] of dump) {
    const live = rows.filter((row) => {
      const { id, new_id: mapped } = JSON.parse(row) as { id?: string; new_id?: string };
      return !ids.has(id ?? mapped ?? '');
    });
    dump.set(table, live.map(withoutClock).toSorted());
  }
  return dump;
}

/** A row that has no source: the table itself says when it was made. */
function withoutClock(row: string): string {
  return row.includes('"synthetic": true')
    ? row.replace(/"(created|updated)_at": "[^"]*"/g, '"$1_at": ""')
    : row;
}

/**
 * The rows of a migration of the same source into a new target of the same release, which `plant`
 * fills first.
 */
export async function freshRows(
  {
    sourceUrl,
    majors = {},
    content = 'schema',
  }: Pick<TestPair, 'sourceUrl'> & Partial<Pick<TestPair, 'majors' | 'content'>>,
  plant: (target: Sql) => Promise<unknown> = () => Promise.resolve(),
  options: MigrateOptions = {},
): Promise<Dump> {
  const isFirst = options.root === undefined || options.root === ROOT;
  const made = isFirst && content === 'schema' ? 'changed' : content;
  const fresh = await testPair({ name: 'fresh', source: 'empty', target: made, ...majors });
  const target = open(fresh.targetAdminUrl);
  try {
    const urls = { sourceUrl, targetUrl: fresh.targetUrl };
    if (made !== 'changed') await changeSchema(urls, options.root);
    await plant(target);
    await migrate(urls, options);
    return await liveRows(target, options.root);
  } finally {
    await target.end();
    await fresh.drop();
  }
}

/** The pair of a suite, its schema changed where it has one, with a superuser's connection to each side. */
export async function preparePair(
  options: Parameters<typeof testPair>[0],
  root = ROOT,
): Promise<{ pair: TestPair; source: Sql; target: Sql }> {
  const { target = targetBeside(options.source) } = options;
  const isFirst = root === ROOT && target === 'schema';
  const pair = await testPair({ ...options, target: isFirst ? 'changed' : target });
  if (!isFirst && target !== 'empty') await changeSchema(pair, root);
  return connectedPair(pair);
}

/** The same of `migratedPair`. */
export async function prepareMigrated(): Promise<{ pair: TestPair; source: Sql; target: Sql }> {
  return connectedPair(await migratedPair());
}

function connectedPair(pair: TestPair): { pair: TestPair; source: Sql; target: Sql } {
  return { pair, source: open(pair.sourceAdminUrl), target: open(pair.targetAdminUrl) };
}

/** Ends the connections of a pair and drops it. */
export async function dropPair(context: {
  pair: TestPair;
  source: Sql;
  target: Sql;
}): Promise<void> {
  await context.source.end();
  await context.target.end();
  await context.pair.drop();
}

/** The error a promise ends with; fails where it does not. */
export async function errorOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  assert.unreachable('no error');
  throw new Error('unreachable');
}

/** Copies of rows of a source table under new ids, with other values in some columns (SQL). */
export async function copyRows(
  source: Sql,
  table: string,
  { where, id, set = '' }: { where: string; id: string; set?: string },
): Promise<void> {
  await source.unsafe(`
    create temporary table copied as select * from ${table} where ${where};
    update copied set id = ${id}${set === '' ? '' : `, ${set}`};
    insert into ${table} select * from copied;
    drop table copied`);
}

/** Waits until a session of the runner waits for a lock. */
export function blockedRunner(watch: Sql): Promise<object> {
  return waitFor(
    'the runner waits for a lock',
    () => watch`
      select pid from pg_stat_activity
      where datname = current_database() and application_name like 'runner%'
        and wait_event_type = 'Lock'`,
    60,
  );
}
