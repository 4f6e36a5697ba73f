/*
 * One folder = one case: rows in the source, the rows they must become in the target.
 *
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
 *   missing   { key: "doctors,offices" }  id maps in which an optional reference led nowhere
 *
 * Values are as to_jsonb shows them in UTC ("2024-05-06T07:08:09+00:00"), with two exceptions: a
 * numeric is a string ("10.50" is not "10.5"; numbers inside jsonb are compared by value), and a uuid
 * is "patients:17", the row that key 17 of entity patients became.
 *
 * Beyond what is expected the harness asserts: the balance; the raw source row of every reject; that
 * rows which were there before are untouched in the columns the view does not supply, and altogether
 * where they were not adopted; that no data check finds anything.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import postgres, { type Sql } from 'postgres';
import type { Context, uvu } from 'uvu';
import {
  definedEntities,
  type Entity,
  type Phase,
  readCatalog,
} from '../../runner/engine/catalog.ts';
import { readChecks, runChecks } from '../../runner/engine/checks.ts';
import { type Config, parseUrl } from '../../runner/config.ts';
import { type Session, transaction } from '../../runner/database.ts';
import { grantReader } from '../../runner/embedded/pair.ts';
import { PreflightFailed, runUp } from '../../runner/engine/run.ts';
import { inPart, WITHOUT_CHECKS } from '../migrate.ts';
import { testPair, type Urls } from '../pair.ts';

type Text = Record<string, string>;

/** Values are jsonb as text, in the form of expected.json. */
type Rows = Map<string, Map<string, string>>;

type Expected = { rows: Rows; rejected: Text; filtered: Text; missing: Text };

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CASES = fileURLToPath(new URL('./', import.meta.url));
const PARTS = ['rows', 'each', 'rejected', 'filtered', 'missing'];
const OWN_COLUMNS = ['legacy_key', 'filter', 'missing', 'reject'];

const catalog = readCatalog(ROOT);
const CHECKS = readChecks(ROOT, 'checks').filter(({ severity }) => severity === 'error');

let pair: Promise<Urls> | undefined;

/**
 * One test per folder of these phases, and one that no entity is without a folder. `CASE=teams` in
 * the environment leaves all others out.
 */
export function caseTests(test: uvu.Test<Context>, phases: string[]): void {
  const entities = catalog.phases
    .filter(({ name }) => phases.includes(name))
    .flatMap((phase) => phase.entities);
  const folders = caseFolders();
  const only = process.env['CASE'];

  test('every entity has a case and every case an entity', () => {
    const known = catalog.phases.flatMap((phase) => phase.entities.map(({ name }) => name));
    const wrong = [
      ...entities
        .filter(({ name }) => !folders.some((folder) => entityOf(folder) === name))
        .map(({ name }) => `entity ${name} has no folder test/cases/${name}`),
      ...folders
        .filter((folder) => !known.includes(entityOf(folder)))
        .map((folder) => `test/cases/${folder} is the case of no entity`),
    ];
    fail(wrong);
  });

  for (const folder of folders) {
    if (!entities.some(({ name }) => name === entityOf(folder))) continue;
    if (only === undefined || folder === only)
      test(folder, async () => fail(await runCase(folder)));
  }
}

/** What a case may be given instead of its own, to test the harness. */
export type Planted = {
  /** Takes the place of expected.json. */
  expected?: string;
  /** Runs in the target after the migration, before anything is compared. */
  meddle?: (target: Sql) => Promise<unknown>;
};

/** Runs one case; returns what is not as expected, one entry per place. */
export async function runCase(folder: string, planted: Planted = {}): Promise<string[]> {
  const entity = catalog.phases
    .flatMap((phase) => phase.entities)
    .find(({ name }) => name === entityOf(folder));
  if (entity === undefined) return [`test/cases/${folder} is the case of no entity`];
  const expected = planted.expected ?? readFileSync(join(CASES, folder, 'expected.json'), 'utf8');
  const urls = await (pair ??= prepare());
  const sourceName = `case_${folder}_${randomBytes(4).toString('hex')}`;
  const caseUrls = { ...urls, ...(await copySource(urls, sourceName)) };
  const source = connect(caseUrls.sourceAdminUrl);
  const target = connect(caseUrls.targetAdminUrl);
  try {
    await source.file(join(CASES, folder, 'source.sql'));
    await emptyTarget(target);
    const targetFile = join(CASES, folder, 'target.sql');
    if (existsSync(targetFile)) await target.file(targetFile);
    const before = await tableOf(target, entity);
    const alarms: string[] = [];
    await up(caseUrls, phasesTo(entity), async (session) => {
      alarms.push(...(await alarmsOf(session)));
    });
    await planted.meddle?.(target);
    return [
      ...alarms,
      ...(await differences(target, entity, expected)),
      ...(await imbalances(source, target, entity)),
      ...(await disturbed(target, entity, before)),
    ];
  } finally {
    await source.end();
    await target.end();
    await besides(urls.sourceAdminUrl, (sql) => sql`drop database ${sql(sourceName)}`);
  }
}

/**
 * What all cases of a file begin with: common.sql in the source; schema changes, ledger and link in
 * the target. It goes with the servers.
 */
async function prepare(): Promise<Urls> {
  const urls = await testPair({ name: 'cases', source: 'schema', target: 'changed' });
  const source = connect(urls.sourceAdminUrl);
  await source.file(join(CASES, 'common.sql'));
  await source.end();
  await up(urls, []);
  return urls;
}

/** Each case has a source of its own, which it may alter as it likes. */
async function copySource(
  { sourceUrl, sourceAdminUrl }: Urls,
  name: string,
): Promise<Pick<Urls, 'sourceUrl' | 'sourceAdminUrl'>> {
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
 * Takes all rows out of the target, ledger and id maps included, and leaves what prepare() built:
 * a copy of the database per case would take twice as long as all the rest.
 */
async function emptyTarget(target: Sql): Promise<void> {
  await target`
    do $$
    declare
      name text;
    begin
      -- no foreign keys, and not the trigger that keeps the audit trail
      set local session_replication_role = replica;
      for name in
        select format('%I.%I', schemaname, tablename) from pg_tables
        where schemaname in ('public', 'ids', 'migration')
          and tablename !~ '^(installed|settings|entities|source_tables|schema_change.*)$'
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
function phasesTo(entity: Entity): Phase[] {
  const last = catalog.phases.findIndex(({ name }) => name === entity.phase);
  return inPart(catalog.phases.slice(0, last + 1), [entity]);
}

/** What the data checks find in the entities that were migrated. */
async function alarmsOf(session: Session): Promise<string[]> {
  const results = await transaction(
    session,
    () => runChecks(session, CHECKS, definedEntities(catalog)),
    { commit: false },
  );
  return results
    .filter(({ findings, problem }) => findings > 0 || problem !== undefined)
    .map(({ check, sample, problem }) => `${check.file}  ${problem?.message ?? sample.join('; ')}`);
}

async function up(
  urls: Urls,
  phases: Phase[],
  conclude: (session: Session) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const config = configOf(urls);
  try {
    await runUp({
      // the checks look at everything in the end
      root: WITHOUT_CHECKS,
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
    fail(error.problems.map(({ file, line, message }) => `${file}:${line}: ${message}`));
  }
}

/** Cases are small and full of defects: any share of rejects is allowed. */
function configOf({ sourceUrl, targetUrl }: Urls): Config {
  const [source, target] = [parseUrl(sourceUrl), parseUrl(targetUrl)];
  if (typeof source === 'string' || typeof target === 'string') throw new Error('no URL of a pair');
  return { source, target, jobs: 1, rejectTolerance: 1 };
}

// ------------------------------------------------------------------------------- findings --

async function differences(target: Sql, entity: Entity, text: string): Promise<string[]> {
  const expected = await readExpected(target, text);
  const supplied = await suppliedColumns(target, entity);
  const map = target`ids.${target(entity.name)}`;
  const found = {
    rejected: await target<{ key: string; value: string }[]>`
      select legacy_id::text as key, reason as value from migration.rejects
      where entity = ${entity.name} and resolved_run is null`,
    filtered: await target<{ key: string; value: string }[]>`
      select legacy_id::text as key, reason as value from migration.filtered
      where entity = ${entity.name}`,
    missing: await target<{ key: string; value: string }[]>`
      select legacy_id::text as key, missing as value from ${map} where missing is not null`,
  };
  const lines = compareRows(
    await resolved(target, expected.rows),
    await actualRows(target, entity),
    supplied,
  );
  for (const part of ['rejected', 'filtered', 'missing'] as const) {
    const actual = Object.fromEntries(found[part].map(({ key, value }) => [key, value]));
    for (const key of sortedKeys([...Object.keys(actual), ...Object.keys(expected[part])])) {
      lines.push(...compare(key, part, expected[part][key], actual[key]));
    }
  }
  return lines;
}

function compareRows(expected: Rows, actual: Rows, supplied: string[]): string[] {
  const lines: string[] = [];
  for (const key of sortedKeys([...expected.keys(), ...actual.keys()])) {
    const [wanted, stored] = [expected.get(key), actual.get(key)];
    if (wanted === undefined || stored === undefined) {
      lines.push(...compare(key, 'row', wanted && 'a row', stored && 'a row'));
      continue;
    }
    const columns = [...new Set([...supplied, ...wanted.keys()])].toSorted();
    for (const column of columns) {
      if (!supplied.includes(column) && column !== 'id') {
        lines.push(`${key}  ${column}\n    expected, but the view does not supply it`);
      } else if (!wanted.has(column)) {
        lines.push(`${key}  ${column}\n    supplied by the view, but not expected`);
      } else {
        lines.push(...compare(key, column, wanted.get(column), stored.get(column)));
      }
    }
  }
  return lines;
}

/** One entry per differing place; of an object only the places that differ. */
function compare(key: string, place: string, expected?: string, actual?: string): string[] {
  if (expected === actual) return [];
  if (expected?.startsWith('{') && actual?.startsWith('{')) {
    const wanted = JSON.parse(expected) as Record<string, unknown>;
    const stored = JSON.parse(actual) as Record<string, unknown>;
    const lines = [...new Set([...Object.keys(wanted), ...Object.keys(stored)])].flatMap((name) =>
      compare(key, `${place}.${name}`, shown(wanted[name]), shown(stored[name])),
    );
    // none: numbers that JSON.parse cannot tell apart
    if (lines.length > 0) return lines;
  }
  return [
    `${key}  ${place}\n    expected  ${expected ?? 'nothing'}\n    actual    ${actual ?? 'nothing'}`,
  ];
}

function shown(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

/** Counts of the run and of both databases that do not fit, and rejects without their raw row. */
async function imbalances(source: Sql, target: Sql, entity: Entity): Promise<string[]> {
  const [counts] = await target<{ source: number; sum: number; balanced: boolean }[]>`
    select source::integer,
      (inserted + updated + unchanged + kept + rejected + filtered)::integer as sum, balanced
    from migration.control where entity = ${entity.name} order by run desc limit 1`;
  const [kept] = await target<{ sum: number; bare: number }[]>`
    select
      (select count(*) from ids.${target(entity.name)})::integer
        + (select count(*) from migration.rejects where entity = ${entity.name})::integer
        + (select count(*) from migration.filtered where entity = ${entity.name})::integer as sum,
      (select count(*) from migration.rejects
       where entity = ${entity.name} and source_row ->> 'id' is distinct from legacy_id::text
      )::integer as bare`;
  const [there] = entity.source
    ? await source<{ rows: number }[]>`
        select count(*)::integer as rows from ${source(entity.source)}`
    : [{ rows: 1 }];
  const sums = [counts?.source, counts?.sum, kept?.sum];
  return [
    ...(sums.every((sum) => sum === there?.rows) && counts?.balanced === true
      ? []
      : [`does not balance: ${there?.rows} source rows, in the ledger ${JSON.stringify(sums)}`]),
    ...(kept?.bare === 0 ? [] : [`${kept?.bare} rejects are without their source row`]),
  ];
}

/** What the run changed in rows that were there before and was not asked to. */
async function disturbed(target: Sql, entity: Entity, before: Rows): Promise<string[]> {
  const after = await tableOf(target, entity);
  const supplied = await suppliedColumns(target, entity);
  const siblings = catalog.phases
    .flatMap((phase) => phase.entities)
    .filter((other) => other.target.table === entity.target.table);
  const adopted = new Set<string>();
  for (const { name } of siblings) {
    const ids = await target<{ id: string }[]>`select id::text from ids.${target(name)}`;
    for (const { id } of ids) adopted.add(id);
  }
  const lines: string[] = [];
  for (const [id, row] of after) {
    const old = before.get(id);
    if (old === undefined) {
      if (!adopted.has(id)) lines.push(`${id}  is in the table and in no id map`);
      continue;
    }
    for (const [column, value] of row) {
      if (adopted.has(id) && (supplied.includes(column) || column === 'updated_at')) continue;
      lines.push(...compare(id, column, old.get(column), value));
    }
  }
  for (const id of before.keys()) if (!after.has(id)) lines.push(`${id}  is gone from the table`);
  return lines;
}

// --------------------------------------------------------------------------------- values --

async function readExpected(target: Sql, text: string): Promise<Expected> {
  const parsed = JSON.parse(text) as Partial<Expected>;
  const unknown = Object.keys(parsed).filter((part) => !PARTS.includes(part));
  fail(unknown.map((part) => `expected.json: ${part} is none of ${PARTS.join(', ')}`));
  // jsonb keeps every digit of a number, JSON.parse does not
  const cells = await target<Cell[]>`
    select r.key, c.key as column, c.value::text as value
    from (select ${text}::text::jsonb as file) as e
    cross join lateral jsonb_each(e.file -> 'rows') as r
    cross join lateral jsonb_each(coalesce(e.file -> 'each', '{}') || r.value) as c`;
  const { rejected = {}, filtered = {}, missing = {} } = parsed;
  return { rows: rowsOf(cells), rejected, filtered, missing };
}

async function actualRows(target: Sql, entity: Entity): Promise<Rows> {
  return rowsOf(
    await target<Cell[]>`
      select m.legacy_id::text as key, c.key as column, ${valueText(target, entity)} as value
      from ids.${target(entity.name)} as m
      join ${tableName(target, entity)} as t on t.id = m.id
      cross join lateral jsonb_each(to_jsonb(t)) as c`,
  );
}

/** The rows of the target table by id. */
async function tableOf(target: Sql, entity: Entity): Promise<Rows> {
  return rowsOf(
    await target<Cell[]>`
      select t.id::text as key, c.key as column, ${valueText(target, entity)} as value
      from ${tableName(target, entity)} as t
      cross join lateral jsonb_each(to_jsonb(t)) as c`,
  );
}

/** A jsonb value as expected.json has it: a numeric column is a string. */
function valueText(target: Sql, { target: { schema, table } }: Entity) {
  return target`
    case
      when jsonb_typeof(c.value) = 'number' and exists (
        select from pg_attribute as a
        where a.attrelid = to_regclass(${`${schema}.${table}`}::text) and a.attname = c.key
          and a.atttypid = 'numeric'::regtype
      ) then to_jsonb(c.value::text)::text
      else c.value::text
    end`;
}

/** `"patients:17"` becomes the id of that row; one that is not there stays as it is. */
async function resolved(target: Sql, rows: Rows): Promise<Rows> {
  const names = catalog.phases.flatMap((phase) => phase.entities.map(({ name }) => name));
  const ids = new Map<string, string>();
  for (const row of rows.values()) {
    for (const [column, value] of row) {
      const [, name, key] = /^"([a-z_]+):(-?\d+)"$/.exec(value) ?? [];
      if (name === undefined || key === undefined || !names.includes(name)) continue;
      if (!ids.has(value)) {
        const [found] = await target<{ id: string }[]>`
          select id::text from ids.${target(name)} where legacy_id = ${key}`;
        ids.set(value, found === undefined ? value : JSON.stringify(found.id));
      }
      row.set(column, ids.get(value) ?? value);
    }
  }
  return rows;
}

type Cell = { key: string; column: string; value: string };

function rowsOf(cells: Cell[]): Rows {
  const rows: Rows = new Map();
  for (const { key, column, value } of cells) {
    const row = rows.get(key) ?? new Map<string, string>();
    rows.set(key, row.set(column, withoutZeros(value)));
  }
  return rows;
}

/** Of numbers that are no strings: prettier takes 10.50 in expected.json for 10.5. */
function withoutZeros(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*"|\d+\.\d+/g, (token) =>
    token.startsWith('"') ? token : token.replace(/\.?0+$/, ''),
  );
}

async function suppliedColumns(target: Sql, entity: Entity): Promise<string[]> {
  const columns = await target<{ name: string }[]>`
    select a.attname as name from pg_attribute as a
    where a.attrelid = to_regclass(${`transform.${entity.name}`}::text) and a.attnum > 0`;
  return columns.map(({ name }) => name).filter((name) => !OWN_COLUMNS.includes(name));
}

function tableName(target: Sql, { target: { schema, table } }: Entity) {
  return target`${target(schema)}.${target(table)}`;
}

function caseFolders(): string[] {
  return readdirSync(CASES, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted();
}

function entityOf(folder: string): string {
  return folder.replace(/-.*/, '');
}

function sortedKeys(keys: string[]): string[] {
  return [...new Set(keys)].toSorted((a, b) => Number(a) - Number(b));
}

function connect(url: string): Sql {
  return postgres(url, { max: 1, onnotice: () => {}, connection: { TimeZone: 'UTC' } });
}

function fail(lines: string[]): void {
  // without a stack: it would say everything twice, and the place is always here
  if (lines.length > 0) throw Object.assign(new Error(lines.join('\n  ')), { stack: '' });
}
