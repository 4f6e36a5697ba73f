/*
 * One folder = one case: rows in the source, the rows they must become in the target.
 *
 * test/cases/ of a project:
 *
 *   common.sql       optional: rows of the source that every case begins with
 *   <entity>/ or <entity>-<what>/
 *     source.sql     rows of the source, on top of common.sql
 *     target.sql     optional: rows the target holds before (adoption)
 *     expected.json  written from the contract, never from what came out
 *
 * expected.json, keys being ids of the driving source table:
 *
 *   rows      { key: { column: value } }  every column the view supplies, and no other; `id` may be
 *                                         given too: the row that was there before
 *   each      { column: value }           columns that are the same in all rows, unless a row says
 *                                         otherwise
 *   rejected  { key: reason }
 *   filtered  { key: reason }
 *   missing   { key: "teams,accounts" }  id maps in which an optional reference led nowhere
 *
 * Values are as to_jsonb shows them in UTC ("2024-05-06T07:08:09+00:00"), with two exceptions: a
 * numeric is a string ("10.50" is not "10.5"; numbers inside jsonb are compared by value), and a uuid
 * is "people:17", the row that key 17 of entity people became.
 *
 * Beyond what is expected the harness asserts: the balance; the raw source row of every reject; that
 * rows which were there before are untouched in the columns the view does not supply, and altogether
 * where they were not adopted; that no data check finds anything.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import postgres, { type Sql } from 'postgres';
import {
  type Catalog,
  definedEntities,
  type Phase,
  readCatalog,
  targetSchemas,
} from '../../runner/engine/catalog.ts';
import { type Entity } from '../../runner/engine/entity-file.ts';
import { type Check, readChecks, runChecks } from '../../runner/engine/checks.ts';
import { connectionOf } from '../../runner/commands/schema.ts';
import { type Config, parseUrl } from '../../runner/config.ts';
import { type Session, transaction } from '../../runner/database.ts';
import { grantReader, type Pair } from '../../runner/embedded/pair.ts';
import { PreflightFailed, runUp } from '../../runner/engine/run.ts';
import { applySchemaChanges } from '../../runner/schema/changes.ts';
import { differences, disturbed, imbalances, tableOf } from './compare.ts';

const FOLDER = 'test/cases';

/** The databases that cases are played in: the tables of the source, and those of the application. */
export type CaseUrls = Pick<Pair, 'sourceUrl' | 'targetUrl' | 'sourceAdminUrl' | 'targetAdminUrl'>;

/** What all cases of a project share. */
export interface Cases {
  root: string;
  catalog: Catalog;
  /** Data checks of severity error. */
  checks: Check[];
  urls: CaseUrls;
}

/** What a case may be given instead of its own, to test the harness. */
export type Planted = {
  /** Takes the place of expected.json. */
  expected?: string;
  /** Runs in the target after the migration, before anything is compared. */
  meddle?: (target: Sql) => Promise<unknown>;
};

/** The folders of `test/cases`, sorted. */
export function caseFolders(root: string): string[] {
  if (!existsSync(join(root, FOLDER))) return [];
  return readdirSync(join(root, FOLDER), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted();
}

/** The entity that a folder is a case of: `people` of `people-adoption`. */
export function entityOf(folder: string): string {
  return folder.replace(/-.*/, '');
}

/**
 * What all cases begin with: common.sql in the source; schema changes, ledger and link in the target.
 * Throws where views and tables do not fit.
 */
export async function openCases(root: string, urls: CaseUrls): Promise<Cases> {
  const checks = readChecks(root, 'checks').filter(({ severity }) => severity === 'error');
  const cases = { root, catalog: readCatalog(root), checks, urls };
  const common = join(root, FOLDER, 'common.sql');
  const source = connect(urls.sourceAdminUrl);
  if (existsSync(common)) await source.file(common);
  await source.end();
  await applySchemaChanges({
    connection: connectionOf(configOf(urls).target),
    root,
    folder: 'additive',
    direction: 'up',
  });
  await up(cases, urls, []);
  return cases;
}

/** Plays one case; returns what is not as expected, one entry per place. */
export async function runCase(
  cases: Cases,
  folder: string,
  planted: Planted = {},
): Promise<string[]> {
  const { root, catalog, urls } = cases;
  const place = join(root, FOLDER, folder);
  const entity = catalog.phases
    .flatMap((phase) => phase.entities)
    .find(({ name }) => name === entityOf(folder));
  if (entity === undefined) return [`${FOLDER}/${folder} is the case of no entity`];
  const expected = planted.expected ?? readFileSync(join(place, 'expected.json'), 'utf8');
  const sourceName = `case_${folder.slice(0, 40)}_${randomBytes(4).toString('hex')}`;
  const caseUrls = { ...urls, ...(await copySource(urls, sourceName)) };
  const source = connect(caseUrls.sourceAdminUrl, catalog.settings.sourceSchemas);
  const target = connect(caseUrls.targetAdminUrl);
  const played = { source, target, catalog, entity };
  try {
    await source.file(join(place, 'source.sql'));
    await emptyTarget(target, ['ids', 'migration', ...targetSchemas(catalog)]);
    const targetFile = join(place, 'target.sql');
    if (existsSync(targetFile)) await target.file(targetFile);
    const before = await tableOf(target, entity);
    const alarms: string[] = [];
    await up(cases, caseUrls, phasesTo(catalog, entity), async (session) => {
      alarms.push(...(await alarmsOf(cases, session)));
    });
    await planted.meddle?.(target);
    return [
      ...alarms,
      ...(await differences(played, expected)),
      ...(await imbalances(played)),
      ...(await disturbed(played, before)),
    ];
  } finally {
    await source.end();
    await target.end();
    await besides(urls.sourceAdminUrl, (sql) => sql`drop database ${sql(sourceName)}`);
  }
}

/**
 * The phases with these entities and what they stand on: whose id maps they read, whose rows are in
 * their tables, and so on. The others cannot change their rows. The data checks of a phase refuse one that
 * is not whole: under the names these have they look at nothing.
 */
export function inPart(phases: Phase[], entities: Entity[]): Phase[] {
  const all = phases.flatMap((phase) => phase.entities);
  const needed = new Set(entities);
  for (const { idMaps, target } of needed) {
    for (const other of all) {
      const shares = other.target.table === target.table && other.target.schema === target.schema;
      if (shares || idMaps.includes(other.name)) needed.add(other);
    }
  }
  return phases
    .map((phase) => ({
      name: `${phase.name}, in part`,
      entities: phase.entities.filter((each) => needed.has(each)),
    }))
    .filter((phase) => phase.entities.length > 0);
}

/** Each case has a source of its own, which it may alter as it likes. */
async function copySource(
  { sourceUrl, sourceAdminUrl }: CaseUrls,
  name: string,
): Promise<Pick<CaseUrls, 'sourceUrl' | 'sourceAdminUrl'>> {
  const within = (url: string): string => new URL(`/${name}`, url).href;
  const template = new URL(sourceAdminUrl).pathname.slice(1);
  await besides(
    sourceAdminUrl,
    (sql) => sql`create database ${sql(name)} template ${sql(template)}`,
  );
  // grants on a database are not copied with it
  await grantReader(within(sourceAdminUrl));
  return { sourceUrl: within(sourceUrl), sourceAdminUrl: within(sourceAdminUrl) };
}

/**
 * Takes all rows out of the target, ledger and id maps included, and leaves what openCases() built:
 * a copy of the database per case would take twice as long as all the rest.
 */
async function emptyTarget(target: Sql, schemas: string[]): Promise<void> {
  await target`select set_config('cases.schemas', ${schemas.join()}, false)`;
  await target`
    do $$
    declare
      name text;
    begin
      -- no foreign keys, and not the trigger that keeps the audit trail
      set local session_replication_role = replica;
      for name in
        select format('%I.%I', schemaname, tablename) from pg_tables
        where schemaname = any (string_to_array(current_setting('cases.schemas'), ','))
          and (schemaname <> 'migration' or tablename !~ '^(installed|settings|entities|links|source_tables|schema_change.*)$')
      loop
        execute format('delete from %s', name);
      end loop;
      update migration.entities set status = 'new', file_hash = null, map_size = 0, maps_seen = '{}',
        completed_run = null, removed = 0, horizon = null;
      update migration.source_tables set identity = null;
    end $$`;
}

/** Work in another database of a server. */
async function besides(url: string, work: (sql: Sql) => Promise<unknown>): Promise<void> {
  const sql = connect(new URL('/postgres', url).href);
  try {
    await work(sql);
  } finally {
    await sql.end();
  }
}

/** The phases before that of the entity, and its own, with what it stands on. */
function phasesTo(catalog: Catalog, entity: Entity): Phase[] {
  const last = catalog.phases.findIndex(({ name }) => name === entity.phase);
  return inPart(catalog.phases.slice(0, last + 1), [entity]);
}

/** What the data checks find in the entities that were migrated. */
async function alarmsOf({ catalog, checks }: Cases, session: Session): Promise<string[]> {
  const results = await transaction(
    session,
    () => runChecks(session, checks, definedEntities(catalog)),
    { commit: false },
  );
  return results
    .filter(({ findings, problem }) => findings > 0 || problem !== undefined)
    .map(({ check, sample, problem }) => `${check.file}  ${problem?.message ?? sample.join('; ')}`);
}

async function up(
  { root, catalog }: Cases,
  urls: CaseUrls,
  phases: Phase[],
  conclude: (session: Session) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const config = configOf(urls);
  try {
    await runUp({
      // no data checks there: they look at everything in the end
      root: join(root, FOLDER),
      config,
      catalog,
      phases,
      dryRun: false,
      full: false,
      jobs: 1,
      policy: 'source',
      removeMany: false,
      applySchema: () => Promise.resolve([]),
      report: () => {},
      remark: () => {},
      conclude,
      interrupt: { requested: false, cancel: () => {} },
    });
  } catch (error) {
    if (!(error instanceof PreflightFailed)) throw error;
    const lines = error.problems.map(({ file, line, message }) => `${file}:${line}: ${message}`);
    throw new Error(lines.join('\n'), { cause: error });
  }
}

/** Cases are small and full of defects: any share of rejects is allowed. */
function configOf({ sourceUrl, targetUrl }: CaseUrls): Config {
  const [source, target] = [parseUrl(sourceUrl), parseUrl(targetUrl)];
  if (typeof source === 'string' || typeof target === 'string') throw new Error('no URL of a pair');
  return { source, target, jobs: 1, rejectTolerance: 1 };
}

function connect(url: string, path: string | readonly string[] = []): Sql {
  const schemas = [path].flat().map((name) => `"${name}"`);
  const search = schemas.length === 0 ? {} : { search_path: schemas.join(', ') };
  const connection = { TimeZone: 'UTC', ...search };
  return postgres(url, { max: 1, onnotice: () => {}, connection });
}
