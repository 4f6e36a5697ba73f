import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { parse, scanSync } from 'libpg-query';
import { PG_MIGRATE_LOCK_ID, runner as migrate } from 'node-pg-migrate';
import type { RunnerOption } from 'node-pg-migrate';
import { Client, DatabaseError } from 'pg';
import type { ClientBase } from 'pg';

import type { Problem } from './catalog.ts';

/** Where a database is, when it is not given as a URL. */
export interface Connection {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  /** Passed to `pg` as it is: false = clear text, else options of `tls.connect`. */
  ssl: false | object;
}

/** `additive` runs before the first load, `removal` is the column removal, a phase at a time. */
export type Folder = 'additive' | 'removal';

/** A database and a folder of schema changes; exactly one of `url` and `connection` is given. */
export interface SchemaTarget {
  url?: string;
  connection?: Connection;
  /** Project root: the folder that holds `schema-changes/`. */
  root: string;
  folder: Folder;
}

/** What `applySchemaChanges` is asked to do. */
export interface ApplyOptions extends SchemaTarget {
  direction: 'up' | 'down';
  /** Files to run, at least 1. Default: all of `additive`, 1 of `removal` (never more there). */
  count?: number;
  /** Runs after the built-in guard and before COMMIT, in the same transaction; throw = rollback. */
  beforeCommit?: (client: ClientBase) => Promise<void>;
  /** Called before each wait for a lock; `wait` is in milliseconds. */
  onRetry?: (retry: { attempt: number; wait: number; reason: string }) => void;
  /** How often the whole transaction is tried when a lock is not to be had; default 10. */
  attempts?: number;
}

/** One file that ran. `name` is the file name without `.sql`. */
export interface AppliedChange {
  name: string;
  direction: 'up' | 'down';
}

/** State of one folder; names are file names without `.sql`, in the order of execution. */
export interface SchemaStatus {
  folder: Folder;
  applied: { name: string; appliedAt: Date }[];
  pending: string[];
  /** Applied, and the file is no longer what was applied (or was applied by another tool). */
  edited: string[];
  /** Applied, and the file is gone. */
  missing: string[];
}

/** A column that no schema change may drop, rename or retype. */
export interface ProtectedColumn {
  schema: string;
  table: string;
  column: string;
}

/**
 * Why a schema change did not happen:
 * `usage` (wrong call), `connect`, `busy` (another runner holds the lock), `refused` (a file breaks
 * a rule), `history` (an applied file is edited or missing, or a file arrived out of order),
 * `protected` (the result would lose a protected column), `locked` (no lock after all attempts),
 * `failed` (the database refused), `unknown` (connection lost during COMMIT).
 */
export type SchemaErrorCode =
  | 'usage'
  | 'connect'
  | 'busy'
  | 'refused'
  | 'history'
  | 'protected'
  | 'locked'
  | 'failed'
  | 'unknown';

/** Message: what, where, what is true now. Never a password, never a row value. */
export class SchemaChangeError extends Error {
  override readonly name = 'SchemaChangeError';
  readonly code: SchemaErrorCode;
  /** Relative to the project root, when one file is to blame; line and column count from 1. */
  readonly at: { file: string; line?: number; column?: number } | undefined;

  constructor(code: SchemaErrorCode, message: string, at?: SchemaChangeError['at']) {
    super(message);
    this.code = code;
    this.at = at;
  }
}

/** A file as it was read once: what is checked, hashed and run is the same text. */
interface ChangeFile {
  name: string;
  file: string;
  text: string;
  hash: string;
  up: Section;
  down: Section;
}

/** One direction of a file; `offset` is where its text begins, in UTF-16 units. */
interface Section {
  text: string;
  offset: number;
}

type Row = Record<string, unknown>;

const FILE_NAME = /^\d{17}_[a-z0-9]+(-[a-z0-9]+)*\.sql$/;
// the same markers that node-pg-migrate looks for
const UP = /^\s*--[\s-]*up\s+migration/gim;
const DOWN = /^\s*--[\s-]*down\s+migration/gim;
const LOCK_TIMEOUT = 500;
const RETRY = new Set(['55P03', '40P01']);

/**
 * Runs schema changes of one folder with node-pg-migrate: all of them in one transaction, or none.
 *
 * Every file of the folder is checked before the database is touched, and the guard of the
 * protected columns runs before COMMIT. A lock that is not free within 500 ms rolls everything
 * back and the whole transaction is tried again, with growing waits. Returns the files that ran,
 * in the order in which they ran; none when there was nothing to do. Throws `SchemaChangeError`.
 */
export async function applySchemaChanges(options: ApplyOptions): Promise<AppliedChange[]> {
  const count = countOf(options);
  const protectedColumns = await readProtectedColumns(options.root);
  const files = await readFolder(options.root, options.folder);
  const problems = (await Promise.all(files.map((file) => inspect(file, protectedColumns)))).flat();
  if (problems.length > 0) throw refusal(problems);

  return withClient(options, async (client) => {
    await takeLock(client);
    await createLedger(client);
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await runOnce(client, options, count, files, protectedColumns);
      if ('done' in outcome) return outcome.done;
      const { error, retry } = outcome;
      if (!retry) throw error;
      if (attempt >= (options.attempts ?? 10)) {
        throw new SchemaChangeError('locked', `${error.message} Tried ${attempt} times.`, error.at);
      }
      // jitter, so that two waiting sessions do not meet again
      const wait = Math.round(Math.min(5000, 100 * 2 ** attempt) * (0.5 + Math.random() / 2));
      options.onRetry?.({ attempt, wait, reason: error.message });
      await sleep(wait);
    }
  });
}

/**
 * Compares a folder with what is applied. Reads only: nothing is created, also in a database that
 * has never seen a schema change. Throws `SchemaChangeError` (`connect`, `refused`, `failed`).
 */
export async function schemaStatus(target: SchemaTarget): Promise<SchemaStatus> {
  const files = await readFolder(target.root, target.folder);
  return withClient(target, async (client) => {
    await client.query('set default_transaction_read_only = on');
    return compare(target.folder, files, await readApplied(client, target.folder));
  });
}

/**
 * Static check of one schema-change file (no database): both directions present and valid SQL, no
 * transaction control, no CASCADE, no protected column dropped, renamed or retyped. `file` is
 * relative to the project root. Code inside a string that is executed is the guard's business.
 */
export async function inspectSchemaChange(
  file: string,
  text: string,
  protectedColumns: ProtectedColumn[],
): Promise<Problem[]> {
  const base = file.slice(file.lastIndexOf('/') + 1);
  if (!FILE_NAME.test(base)) {
    return [
      problem(file, text, 0, 'schema-file-name', `${base} is not a schema change`, {
        fix: 'Name it <17 digits>_<words-with-dashes>.sql; only SQL files are run.',
      }),
    ];
  }
  const sections = split(text);
  if (sections === null) {
    return [
      problem(file, text, 0, 'schema-sections', 'not exactly one up and one down section', {
        fix: 'Write "-- Up Migration" once, and "-- Down Migration" once below it.',
      }),
    ];
  }
  const found = await Promise.all(
    [sections.up, sections.down].map((section) =>
      inspectSection(file, text, section, protectedColumns),
    ),
  );
  return found.flat();
}

/** Reads `schema-changes/protected.json`. Throws `SchemaChangeError` (`usage`) if it is unusable. */
export async function readProtectedColumns(root: string): Promise<ProtectedColumn[]> {
  const file = 'schema-changes/protected.json';
  try {
    const content: unknown = JSON.parse(await readFile(join(root, file), 'utf8'));
    if (Array.isArray(content) && content.every(isProtectedColumn)) return content;
  } catch {
    // said below, with the shape that is expected
  }
  throw new SchemaChangeError(
    'usage',
    `${file} is missing or not a list of {schema, table, column}. Nothing was changed.`,
    { file },
  );
}

// ---------------------------------------------------------------------------- one attempt --

type Outcome = { done: AppliedChange[] } | { error: SchemaChangeError; retry: boolean };

async function runOnce(
  client: Client,
  options: ApplyOptions,
  count: number,
  files: ChangeFile[],
  protectedColumns: ProtectedColumn[],
): Promise<Outcome> {
  const { folder, direction } = options;
  refuseHistory(folder, compare(folder, files, await readApplied(client, folder)), files);
  // without a folder node-pg-migrate has nothing to read
  if (files.length === 0) return { done: [] };

  const transaction = guardedTransaction(
    client,
    async (before) => {
      await checkProtected(client, protectedColumns, before);
      await options.beforeCommit?.(client);
      await writeHashes(client, folder, files);
    },
    protectedColumns,
  );

  let running: { file: ChangeFile; section: Section } | undefined;
  const step = (file: ChangeFile, section: Section) => (builder: { sql(text: string): void }) => {
    running = { file, section };
    builder.sql(section.text);
  };
  const silent = (): void => {};
  const settings: RunnerOption = {
    dbClient: transaction.client,
    dir: join(options.root, 'schema-changes', folder),
    direction,
    count,
    migrationsSchema: 'migration',
    migrationsTable: `schema_changes_${folder}`,
    singleTransaction: true,
    checkOrder: true,
    logger: { debug: silent, info: silent, warn: silent, error: silent },
    migrationLoaderStrategies: [
      {
        extensions: ['.sql'],
        // what was checked and hashed is what runs: the files are not read again
        loader: async () =>
          files.map((file) => ({
            id: join(options.root, file.file),
            filePaths: [join(options.root, file.file)],
            actions: { up: step(file, file.up), down: step(file, file.down) },
          })),
      },
    ],
  };
  try {
    const ran = await migrate(settings);
    return { done: ran.map(({ name }) => ({ name, direction })) };
  } catch (thrown) {
    // the first failure is the reason; what comes after it (a failed ROLLBACK) is only its echo
    const reason: unknown = transaction.failure() ?? thrown;
    if (reason instanceof SchemaChangeError) return { error: reason, retry: false };
    const error = explain(reason, running, transaction.committing());
    return { error, retry: error.code !== 'unknown' && RETRY.has(codeOf(reason)) };
  }
}

/**
 * node-pg-migrate has no hook before COMMIT. It gets our client with `query` wrapped: after BEGIN
 * the protected columns are noted, before COMMIT `check` runs; a throw there becomes its ROLLBACK.
 */
function guardedTransaction(
  client: Client,
  check: (before: Row[]) => Promise<void>,
  protectedColumns: ProtectedColumn[],
): { client: Client; committing: () => boolean; failure: () => unknown } {
  let before: Row[] = [];
  let transactionId = '';
  let committing = false;
  let failure: unknown;

  const hooked = async (text: string, values?: unknown[]): Promise<unknown> => {
    try {
      if (text === 'COMMIT') {
        if ((await currentTransaction(client)) !== transactionId) {
          throw new SchemaChangeError(
            'refused',
            'A file ended the transaction itself: part of it is committed. Look at ' +
              '`runner schema status` before anything else.',
          );
        }
        await check(before);
        committing = true;
      }
      const result = await client.query(text, values);
      if (text === 'COMMIT') committing = false;
      if (text === 'BEGIN') {
        transactionId = await currentTransaction(client);
        before = await describeProtected(client, protectedColumns);
      }
      return result;
    } catch (error) {
      failure ??= error;
      throw error;
    }
  };
  return {
    client: new Proxy(client, {
      get: (target, key): unknown =>
        key === 'query' ? hooked : (Reflect.get(target, key) as unknown),
    }),
    committing: () => committing,
    failure: () => failure,
  };
}

/** The real id of the open transaction: another one after a COMMIT that slipped in. */
async function currentTransaction(client: ClientBase): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    'select pg_catalog.pg_current_xact_id()::text as id',
  );
  return rows[0]?.id ?? '';
}

/** One row per protected column; what must be the same at BEGIN and at COMMIT. */
async function describeProtected(client: ClientBase, columns: ProtectedColumn[]): Promise<Row[]> {
  const { rows } = await client.query<Row>(
    `select wanted.schema || '.' || wanted.tab || '.' || wanted.col as name,
            a.attrelid::text                                       as relation,
            a.attnum                                               as position,
            pg_catalog.format_type(a.atttypid, a.atttypmod)        as type
     from unnest($1::text[], $2::text[], $3::text[]) with ordinality as wanted (schema, tab, col, n)
     left join pg_catalog.pg_namespace as n on n.nspname = wanted.schema
     left join pg_catalog.pg_class     as c on c.relnamespace = n.oid and c.relname = wanted.tab
     left join pg_catalog.pg_attribute as a
       on a.attrelid = c.oid and a.attname = wanted.col and a.attnum > 0 and not a.attisdropped
     order by wanted.n`,
    [columns.map((c) => c.schema), columns.map((c) => c.table), columns.map((c) => c.column)],
  );
  return rows;
}

async function checkProtected(
  client: ClientBase,
  columns: ProtectedColumn[],
  before: Row[],
): Promise<void> {
  const after = await describeProtected(client, columns);
  const lost = after.filter(
    (row, index) =>
      row['position'] === null ||
      ['relation', 'position', 'type'].some((key) => row[key] !== before[index]?.[key]),
  );
  if (lost.length === 0) return;
  const names = lost.map((row) => String(row['name'])).join(', ');
  const absent = lost.every((row) =>
    before.some((b) => b['name'] === row['name'] && b['position'] === null),
  );
  throw new SchemaChangeError(
    'protected',
    absent
      ? `${names} does not exist: is this the right database? Rolled back, nothing changed.`
      : `${names} would be dropped, renamed, moved or retyped, and it is protected ` +
          '(schema-changes/protected.json). Rolled back, nothing changed.',
  );
}

// -------------------------------------------------------------------------------- history --

interface AppliedRow {
  name: string;
  hash: string | null;
  applied_at: Date;
}

async function createLedger(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ ready: boolean }>(
    `select pg_catalog.to_regclass('migration.schema_change_hashes') is not null as ready`,
  );
  if (rows[0]?.ready) return;
  try {
    await client.query(`
      begin;
      create schema if not exists migration;
      revoke all on schema migration from public;
      create table if not exists migration.schema_change_hashes (
        folder     text        not null,
        name       text        not null,
        hash       text        not null,
        applied_at timestamptz not null,
        primary key (folder, name)
      );
      revoke all on table migration.schema_change_hashes from public;
      commit`);
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw explain(error, undefined, false);
  }
}

async function readApplied(client: ClientBase, folder: Folder): Promise<AppliedRow[]> {
  const table = `migration.schema_changes_${folder}`;
  const { rows } = await client.query<{ history: string | null; hashes: string | null }>(
    `select pg_catalog.to_regclass($1)::text as history,
            pg_catalog.to_regclass('migration.schema_change_hashes')::text as hashes`,
    [table],
  );
  if (rows[0]?.history == null) return [];
  const applied = await client.query<AppliedRow>(
    rows[0].hashes === null
      ? `select m.name, null as hash, m.run_on at time zone 'UTC' as applied_at
         from ${table} as m order by m.run_on, m.id`
      : `select m.name, h.hash, coalesce(h.applied_at, m.run_on at time zone 'UTC') as applied_at
         from ${table} as m
         left join migration.schema_change_hashes as h on h.folder = '${folder}' and h.name = m.name
         order by m.run_on, m.id`,
  );
  return applied.rows;
}

async function writeHashes(client: ClientBase, folder: Folder, files: ChangeFile[]): Promise<void> {
  const table = `migration.schema_changes_${folder}`;
  await client.query(
    `delete from migration.schema_change_hashes as h
     where h.folder = $1 and not exists (select from ${table} as m where m.name = h.name)`,
    [folder],
  );
  await client.query(
    `insert into migration.schema_change_hashes (folder, name, hash, applied_at)
     select $1, f.name, f.hash, pg_catalog.now()
     from unnest($2::text[], $3::text[]) as f (name, hash)
     join ${table} as m on m.name = f.name
     where not exists (
       select from migration.schema_change_hashes as h where h.folder = $1 and h.name = f.name
     )`,
    [folder, files.map((file) => file.name), files.map((file) => file.hash)],
  );
}

function compare(folder: Folder, files: ChangeFile[], applied: AppliedRow[]): SchemaStatus {
  const hashes = new Map(files.map((file) => [file.name, file.hash]));
  const names = new Set(applied.map((row) => row.name));
  return {
    folder,
    applied: applied.map((row) => ({ name: row.name, appliedAt: row.applied_at })),
    pending: files.filter((file) => !names.has(file.name)).map((file) => file.name),
    edited: applied
      .filter((row) => hashes.has(row.name) && hashes.get(row.name) !== row.hash)
      .map((row) => row.name),
    missing: applied.filter((row) => !hashes.has(row.name)).map((row) => row.name),
  };
}

function refuseHistory(folder: Folder, status: SchemaStatus, files: ChangeFile[]): void {
  const path = (name: string): string => `schema-changes/${folder}/${name}.sql`;
  const last = status.applied.at(-1)?.name;
  const late = last === undefined ? [] : status.pending.filter((name) => name < last);
  const findings = [
    ...status.edited.map((name) => `${path(name)} was edited after it was applied; put it back`),
    ...status.missing.map((name) => `${path(name)} is applied and the file is gone; put it back`),
    ...late.map((name) => `${path(name)} comes before ${last}, which is applied; rename it`),
  ];
  if (findings.length === 0) return;
  const culprit = [...status.edited, ...status.missing, ...late][0];
  const file = files.find(({ name }) => name === culprit)?.file ?? path(culprit ?? '');
  throw new SchemaChangeError('history', `${findings.join('\n')}\nNothing was changed.`, { file });
}

// ---------------------------------------------------------------------------------- files --

async function readFolder(root: string, folder: Folder): Promise<ChangeFile[]> {
  const entries = await readdir(join(root, 'schema-changes', folder), {
    withFileTypes: true,
  }).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  const names = entries
    .map((entry) => entry.name)
    .filter((name) => !name.startsWith('.'))
    .toSorted();
  return Promise.all(
    names.map(async (name) => {
      const file = `schema-changes/${folder}/${name}`;
      // the working copy's line ends are no change of the file
      const text = (await readFile(join(root, file), 'utf8')).replaceAll('\r\n', '\n');
      const sections = split(text);
      const none = { text: '', offset: 0 };
      return {
        name: name.replace(/\.sql$/, ''),
        file,
        text,
        hash: createHash('sha256').update(text).digest('hex'),
        up: sections?.up ?? none,
        down: sections?.down ?? none,
      };
    }),
  );
}

function inspect(file: ChangeFile, protectedColumns: ProtectedColumn[]): Promise<Problem[]> {
  return inspectSchemaChange(file.file, file.text, protectedColumns);
}

function split(text: string): { up: Section; down: Section } | null {
  const ups = [...text.matchAll(UP)];
  const downs = [...text.matchAll(DOWN)];
  const up = ups[0]?.index;
  const down = downs[0]?.index;
  if (ups.length !== 1 || downs.length !== 1 || up === undefined || down === undefined) return null;
  if (down < up) return null;
  return {
    up: { text: text.slice(up, down), offset: up },
    down: { text: text.slice(down), offset: down },
  };
}

async function inspectSection(
  file: string,
  text: string,
  section: Section,
  protectedColumns: ProtectedColumn[],
): Promise<Problem[]> {
  let statements: { stmt: unknown; offset: number }[];
  try {
    const tree = (await parse(section.text)) as {
      stmts?: { stmt?: unknown; stmt_location?: number }[];
    };
    const bytes = Buffer.from(section.text);
    statements = (tree.stmts ?? []).map(({ stmt, stmt_location: start = 0 }) => ({
      stmt,
      offset: section.offset + firstToken(section.text, bytes.subarray(0, start).toString().length),
    }));
  } catch (error) {
    const position = (error as { sqlDetails?: { cursorPosition?: number } }).sqlDetails;
    return [
      problem(
        file,
        text,
        section.offset + (position?.cursorPosition ?? 0),
        'schema-syntax',
        error instanceof Error ? error.message : 'not valid SQL',
        { fix: 'Correct the statement.' },
      ),
    ];
  }
  return statements.flatMap(({ stmt, offset }) =>
    inspectStatement(stmt, protectedColumns).map(({ rule, message, fix }) =>
      problem(file, text, offset, rule, message, { fix }),
    ),
  );
}

/** The parser's statement begins where the last one ended: skips blanks and comments. */
function firstToken(text: string, from: number): number {
  const skipped = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/|;)*/.exec(text.slice(from));
  return from + (skipped?.[0].length ?? 0);
}

function inspectStatement(
  stmt: unknown,
  protectedColumns: ProtectedColumn[],
): { rule: string; message: string; fix: string }[] {
  const found: { rule: string; message: string; fix: string }[] = [];
  for (const [kind, node] of nodesOf(stmt)) {
    if (kind === 'TransactionStmt') {
      found.push({
        rule: 'schema-transaction',
        message: 'transaction control (BEGIN, COMMIT, ROLLBACK, SAVEPOINT)',
        fix: 'Remove it: all files run in one transaction, which the runner ends.',
      });
    }
    const body = bodyOf(kind, node);
    if (node['behavior'] === 'DROP_CASCADE' || (body !== null && mentionsCascade(body))) {
      found.push({
        rule: 'schema-cascade',
        message: 'CASCADE removes objects that the file does not name',
        fix: 'Drop what depends on it by name, before it.',
      });
    }
    for (const column of protectedColumns) {
      if (losesColumn(kind, node, column)) {
        found.push({
          rule: 'schema-protected',
          message: `${column.schema}.${column.table}.${column.column} is protected`,
          fix: 'It may not be dropped, renamed, moved or retyped: leave it as it is.',
        });
      }
    }
  }
  return found;
}

/** Every `{ Kind: {...} }` pair of a parse tree, outermost first. */
function* nodesOf(value: unknown): Generator<[string, Row]> {
  if (Array.isArray(value)) {
    for (const item of value) yield* nodesOf(item);
  } else if (isRow(value)) {
    for (const [key, child] of Object.entries(value)) {
      if (isRow(child)) yield [key, child];
      yield* nodesOf(child);
    }
  }
}

/** The code of a DO block or of a function with a quoted body, else null. */
function bodyOf(kind: string, node: Row): string | null {
  if (kind !== 'DefElem' || node['defname'] !== 'as') return null;
  const strings = [...nodesOf(node['arg'])].map(([, child]) => child['sval']);
  return strings.filter((text) => typeof text === 'string').join('\n');
}

/** A word of the code, or of a string in it (it may be executed); comments do not count. */
function mentionsCascade(body: string): boolean {
  try {
    return scanSync(body).tokens.some(
      (token) => !token.tokenName.includes('COMMENT') && /\bcascade\b/i.test(token.text),
    );
  } catch {
    return /\bcascade\b/i.test(body);
  }
}

function losesColumn(kind: string, node: Row, column: ProtectedColumn): boolean {
  const relation = isRow(node['relation']) ? node['relation'] : {};
  const isTable =
    relation['relname'] === column.table &&
    (relation['schemaname'] === undefined || relation['schemaname'] === column.schema);
  if (kind === 'RenameStmt') {
    if (node['renameType'] === 'OBJECT_SCHEMA') return node['subname'] === column.schema;
    if (!isTable) return false;
    return node['renameType'] === 'OBJECT_TABLE' || node['subname'] === column.column;
  }
  if (kind === 'AlterObjectSchemaStmt') return isTable;
  if (kind === 'AlterTableStmt' && isTable) {
    return [...nodesOf(node['cmds'])].some(
      ([name, command]) =>
        name === 'AlterTableCmd' &&
        command['name'] === column.column &&
        (command['subtype'] === 'AT_DropColumn' || command['subtype'] === 'AT_AlterColumnType'),
    );
  }
  if (kind === 'DropStmt') {
    const names = (Array.isArray(node['objects']) ? node['objects'] : []).map((object: unknown) =>
      [...nodesOf(object)].flatMap(([, child]) =>
        typeof child['sval'] === 'string' ? [child['sval']] : [],
      ),
    );
    if (node['removeType'] === 'OBJECT_SCHEMA')
      return names.some((n) => n.at(-1) === column.schema);
    return (
      node['removeType'] === 'OBJECT_TABLE' &&
      names.some((n) => n.at(-1) === column.table && (n.length === 1 || n.at(-2) === column.schema))
    );
  }
  return false;
}

// ----------------------------------------------------------------------------- connection --

async function withClient<T>(
  target: SchemaTarget,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await connect(target);
  try {
    return await work(client);
  } catch (error) {
    throw error instanceof SchemaChangeError ? error : explain(error, undefined, false);
  } finally {
    // the session's locks end with it; a connection that is lost already has nothing to say
    await client.end().catch(() => {});
  }
}

async function connect({ url, connection }: SchemaTarget): Promise<Client> {
  if ((url === undefined) === (connection === undefined)) {
    throw new SchemaChangeError('usage', 'Exactly one of url and connection is needed.');
  }
  const limits = {
    application_name: 'migration runner (schema changes)',
    connectionTimeoutMillis: 15_000,
    // longer than statement_timeout: it only ends a wait for a server that no longer answers
    query_timeout: 660_000,
    keepAlive: true,
  };
  let client: Client;
  try {
    client = new Client(
      url === undefined ? { ...limits, ...connection } : { ...limits, connectionString: url },
    );
  } catch {
    // the parser's error carries the whole URL
    throw new SchemaChangeError('usage', 'The connection URL cannot be read. Nothing was changed.');
  }
  // without a listener a connection that is lost between two queries ends the process
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query(`
      set search_path = pg_catalog, pg_temp;
      set timezone = 'UTC';
      set datestyle = 'ISO';
      set row_security = off;
      set client_min_messages = warning;
      set lock_timeout = ${LOCK_TIMEOUT};
      set statement_timeout = '10min';
      set idle_in_transaction_session_timeout = '2min';
      set client_connection_check_interval = '5s'`);
  } catch (error) {
    await client.end().catch(() => {});
    const secret = connection?.password ?? client.password;
    let message = error instanceof Error ? error.message || codeOf(error) : 'unknown reason';
    if (secret) message = message.replaceAll(secret, '***');
    throw new SchemaChangeError('connect', `No connection: ${message}. Nothing was changed.`);
  }
  return client;
}

/** node-pg-migrate's own lock, held for the session: its other users are kept out as well. */
async function takeLock(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ taken: boolean }>(
    'select pg_catalog.pg_try_advisory_lock($1) as taken',
    [PG_MIGRATE_LOCK_ID],
  );
  if (rows[0]?.taken !== true) {
    throw new SchemaChangeError(
      'busy',
      'Another schema change is at work in this database. Nothing was changed.',
    );
  }
}

// --------------------------------------------------------------------------------- errors --

function explain(
  reason: unknown,
  running: { file: ChangeFile; section: Section } | undefined,
  committing: boolean,
): SchemaChangeError {
  // a server that shuts down (57P) may have committed before it said so
  const answered = reason instanceof DatabaseError && !/^(57P|08)/.test(codeOf(reason));
  if (committing && !answered) {
    return new SchemaChangeError(
      'unknown',
      'The connection was lost during COMMIT: the outcome is unknown. Run the same command again.',
    );
  }
  const { message, hint, position } = reason as {
    message?: string;
    hint?: string;
    position?: string;
  };
  const offset = position === undefined ? undefined : Number(position) - 1;
  const at = running && {
    file: running.file.file,
    ...(offset === undefined || offset >= running.section.text.length
      ? {}
      : placeOf(running.file.text, running.section.offset + offset)),
  };
  const where =
    at === undefined
      ? ''
      : [at.file, ...('line' in at ? [at.line, at.column] : [])].join(':') + ': ';
  return new SchemaChangeError(
    'failed',
    `${where}${message ?? String(reason)}.${hint === undefined ? '' : ` ${hint}`} ` +
      'Rolled back, nothing changed.',
    at,
  );
}

function refusal(problems: Problem[]): SchemaChangeError {
  const lines = problems.map((p) => `${p.file}:${p.line}:${p.column}: ${p.message}. ${p.fix}`);
  const first = problems[0];
  return new SchemaChangeError(
    problems.some(({ rule }) => rule === 'schema-protected') ? 'protected' : 'refused',
    `${lines.join('\n')}\nNothing was changed.`,
    first && { file: first.file, line: first.line, column: first.column },
  );
}

function problem(
  file: string,
  text: string,
  offset: number,
  rule: string,
  message: string,
  { fix }: { fix: string },
): Problem {
  return { rule, file, ...placeOf(text, offset), message, fix };
}

function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

function countOf({ folder, count }: ApplyOptions): number {
  if (count !== undefined && (!Number.isInteger(count) || count < 1)) {
    throw new SchemaChangeError('usage', 'count is not a whole number above 0.');
  }
  if (folder === 'removal' && (count ?? 1) !== 1) {
    throw new SchemaChangeError(
      'usage',
      'The column removal goes one phase at a time: count is 1.',
    );
  }
  return count ?? (folder === 'removal' ? 1 : Number.POSITIVE_INFINITY);
}

function codeOf(error: unknown): string {
  const code = isRow(error) ? error['code'] : undefined;
  return typeof code === 'string' ? code : '';
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isProtectedColumn(value: unknown): value is ProtectedColumn {
  return (
    isRow(value) && ['schema', 'table', 'column'].every((key) => typeof value[key] === 'string')
  );
}
