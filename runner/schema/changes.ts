import { setTimeout as sleep } from 'node:timers/promises';

import type { Client, ClientBase } from 'pg';

import type { Problem } from '../engine/text.ts';
import { type Connection, explain, takeLock, withClient } from './client.ts';
import { question } from '../engine/question.ts';
import { codeOf, SchemaChangeError } from './error.ts';
import { type ChangeFile, inspectSchemaChange, readFolder, readProtectedColumns } from './files.ts';
import type { Folder } from './folder.ts';
import { type Guard, guardOf } from './guard.ts';
import { migrationOf } from './migration.ts';
import { isPassing, pauseAfter } from '../transactions.ts';

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
  /** Instead of `count`: how many files of the folder are applied afterwards. */
  to?: number;
  /** Runs after BEGIN, in the same transaction and in every attempt; throw = rollback. */
  afterBegin?: (client: ClientBase) => Promise<void>;
  /** Runs before the built-in guard and COMMIT, in the same transaction; throw = rollback. */
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

/**
 * Runs schema changes of one folder with node-pg-migrate: all of them in one transaction, or none.
 *
 * Every file of the folder is checked before the database is touched, and the guard looks at the
 * protected columns before COMMIT and once more after it. A lock that is not free within 500 ms
 * rolls everything back and the whole transaction is tried again, with growing waits. Returns the
 * files that ran, in the order in which they ran; none when there was nothing to do. Throws
 * `SchemaChangeError`.
 */
export async function applySchemaChanges(options: ApplyOptions): Promise<AppliedChange[]> {
  refuseCount(options);
  const protectedColumns = await readProtectedColumns(options.root);
  const files = readFolder(options.root, options.folder);
  const inspected = files.map(({ file, text }) =>
    inspectSchemaChange(file, text, protectedColumns),
  );
  const problems = (await Promise.all(inspected)).flat();
  if (problems.length > 0) throw refusal(problems);

  return withClient(options, async (client) => {
    await takeLock(client);
    await createLedger(client);
    const guard = guardOf(client, protectedColumns);
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await runOnce(client, options, files, guard);
      if ('done' in outcome) return outcome.done;
      const { error, retry } = outcome;
      if (!retry) throw await guard.truth(error);
      if (attempt >= (options.attempts ?? 10)) {
        const message = `${error.message} Tried ${attempt} times.`;
        throw await guard.truth(new SchemaChangeError('locked', message, error.at));
      }
      const wait = pauseAfter(attempt);
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
  const files = readFolder(target.root, target.folder);
  return withClient(target, async (client) => {
    await client.query('set default_transaction_read_only = on');
    return compare(target.folder, files, await readApplied(client, target.folder));
  });
}

// ---------------------------------------------------------------------------- one attempt --

type Outcome = { done: AppliedChange[] } | { error: SchemaChangeError; retry: boolean };

/**
 * BEGIN, node-pg-migrate, guard, COMMIT, guard. Throws when not even ROLLBACK can be said, and what
 * the guard sees after COMMIT.
 */
async function runOnce(
  client: Client,
  options: ApplyOptions,
  files: ChangeFile[],
  guard: Guard,
): Promise<Outcome> {
  const { folder, direction } = options;
  const applied = await readApplied(client, folder);
  const status = compare(folder, files, applied);
  refuseHistory(folder, status, files);
  const count = countOf(options, applied.length);
  const left = direction === 'up' ? status.pending : status.applied;
  if (left.length === 0 || count === 0) return { done: [] };

  const migration = migrationOf(client, { ...options, files, count });
  let committing = false;
  let done: AppliedChange[];
  try {
    // a look before COMMIT sees what others have committed meanwhile
    await client.query('begin isolation level read committed');
    const transactionId = await currentTransaction(client);
    await guard.note();
    await options.afterBegin?.(client);
    const ran = await migration.run();
    if ((await currentTransaction(client)) !== transactionId) {
      throw new SchemaChangeError(
        'refused',
        'A file ended the transaction itself: part of it is committed. Look at ' +
          '`runner schema status` before anything else.',
      );
    }
    await options.beforeCommit?.(client);
    await writeHashes(client, folder, files);
    await guard.refuse();
    committing = true;
    await client.query('commit');
    done = ran.map((name) => ({ name, direction }));
  } catch (thrown) {
    const reason = migration.failure() ?? thrown;
    const error =
      reason instanceof SchemaChangeError
        ? reason
        : explain(reason, migration.running(), committing);
    try {
      await client.query('rollback');
    } catch {
      // the first failure is the reason; this one is only its echo
      throw error;
    }
    return { error, retry: error.code === 'failed' && isPassing(codeOf(reason)) };
  }
  await guard.confirm();
  return { done };
}

/** The real id of the open transaction: another one after a COMMIT that slipped in. */
async function currentTransaction(client: ClientBase): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    'select pg_catalog.pg_current_xact_id()::text as id',
  );
  return rows[0]?.id ?? '';
}

// -------------------------------------------------------------------------------- history --

interface AppliedRow {
  name: string;
  hash: string | null;
  /** As JSON has it. */
  applied_at: string;
}

async function createLedger(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ ready: boolean }>(
    `select pg_catalog.to_regclass('migration.schema_change_hashes') is not null as ready`,
  );
  if (rows[0]?.ready) return;
  try {
    await client.query(`begin; ${question('schema_ledger')} commit`);
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw explain(error, undefined, true);
  }
}

async function readApplied(client: ClientBase, folder: Folder): Promise<AppliedRow[]> {
  await setSettings(client, { folder });
  const results = (await client.query(question('schema_applied'))) as unknown as {
    rows: { applied?: AppliedRow[] }[];
  }[];
  return results.flatMap(({ rows }) => rows[0]?.applied ?? []);
}

async function writeHashes(client: ClientBase, folder: Folder, files: ChangeFile[]): Promise<void> {
  const hashes = files.map(({ name, hash }) => ({ name, hash }));
  await setSettings(client, { folder, files: JSON.stringify(hashes) });
  await client.query(question('schema_hashes'));
}

/** Parameters of a `do`, which takes none. */
async function setSettings(client: ClientBase, values: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(values)) {
    await client.query('select pg_catalog.set_config($1, $2, false)', [`migration.${name}`, value]);
  }
}

function compare(folder: Folder, files: ChangeFile[], applied: AppliedRow[]): SchemaStatus {
  const hashes = new Map(files.map((file) => [file.name, file.hash]));
  const names = new Set(applied.map((row) => row.name));
  return {
    folder,
    applied: applied.map((row) => ({ name: row.name, appliedAt: new Date(row.applied_at) })),
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

function refusal(problems: Problem[]): SchemaChangeError {
  const lines = problems.map((p) => `${p.file}:${p.line}:${p.column}: ${p.message}. ${p.fix}`);
  const first = problems[0];
  return new SchemaChangeError(
    problems.some(({ rule }) => rule === 'schema-protected') ? 'protected' : 'refused',
    `${lines.join('\n')}\nNothing was changed.`,
    first && { file: first.file, line: first.line, column: first.column },
  );
}

/** Refuses what needs no look at the database. */
function refuseCount({ folder, count, to }: ApplyOptions): void {
  for (const [name, value] of Object.entries({ count, to })) {
    const least = name === 'count' ? 1 : 0;
    if (value !== undefined && (!Number.isInteger(value) || value < least)) {
      throw new SchemaChangeError('usage', `${name} is not a whole number of at least ${least}.`);
    }
  }
  if (folder === 'removal' && (count ?? 1) !== 1) throw onePhase();
}

/** Files to run, given how many are applied; 0 when the folder is already there. */
function countOf({ folder, direction, count, to }: ApplyOptions, applied: number): number {
  if (to === undefined) {
    return count ?? (folder === 'removal' ? 1 : Number.POSITIVE_INFINITY);
  }
  const steps = direction === 'up' ? to - applied : applied - to;
  if (folder === 'removal' && steps > 1) throw onePhase(applied);
  return Math.max(steps, 0);
}

function onePhase(applied?: number): SchemaChangeError {
  const now = applied === undefined ? '' : ` Phase ${applied} is the last one applied.`;
  return new SchemaChangeError(
    'usage',
    `The column removal goes one phase at a time.${now} Nothing was changed.`,
  );
}
