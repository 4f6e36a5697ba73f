/* What must hold after any fault. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import * as assert from 'uvu/assert';
import { readCatalog, targetSchemas } from '../../runner/engine/catalog.ts';
import { clockColumns, type Dump, ROOT, sameDump, waitFor } from '../runner.ts';

/** What a target holds after a run without a fault. */
export interface Expected {
  /** Row by row: public, ids, archive, and what the ledger keeps of rows. */
  rows: Dump;
  /** A hash per table. */
  hashes: Dump;
  /** Columns that are the time or the number of the run, per table. */
  omitted: Map<string, string[]>;
}

/** In the ledger: columns that differ between equal migrations, of other copies of a source too. */
const LEDGER: Record<string, string[]> = {
  ranges: ['run', 'basis'],
  rejects: ['first_run', 'last_run', 'resolved_run'],
  filtered: [],
  gone: ['run'],
  before_images: ['image_id', 'run', 'taken_at'],
  conflicts: ['conflict_id', 'run', 'found_at'],
  entities: ['completed_run', 'horizon'],
  lookups: ['version_digest'],
  lookup_ranges: [],
};

/** The schemas in which rows of a project are; of the first one by default. */
export function writtenSchemas(root = ROOT): string[] {
  return [...targetSchemas(readCatalog(root)), 'ids', 'legacy_archive'];
}

/** Reads a target after a run without a fault, by default one of the first project. */
export async function expectationOf(target: Sql, root = ROOT): Promise<Expected> {
  const clock = await clockColumns(target, root);
  const tables = await target<{ schema: string; name: string }[]>`
    select n.nspname as schema, c.relname as name from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = any (${writtenSchemas(root)}) and c.relkind in ('r', 'p')
    order by 1, 2`;
  const omitted = new Map<string, string[]>();
  for (const { schema, name } of tables) {
    const columns = schema === 'public' ? (clock.get(name) ?? []) : schema === 'ids' ? ['run'] : [];
    omitted.set(`${schema}.${name}`, columns);
  }
  for (const [name, columns] of Object.entries(LEDGER)) omitted.set(`migration.${name}`, columns);
  const rows: Dump = new Map();
  for (const [table, columns] of omitted) rows.set(table, await rowsOf(target, table, columns));
  return { rows, omitted, hashes: await hashesOf(target, omitted) };
}

/**
 * Asserts that every row is as after a run without a fault; says which are not. `ranges: false`
 * leaves out what the ledger says of key ranges: a target of its own may have chosen others.
 */
export async function sameRows(
  target: Sql,
  expected: Expected,
  what: string,
  { ranges = true } = {},
): Promise<void> {
  const hashes = await hashesOf(target, expected.omitted);
  for (const [table, hash] of expected.hashes) {
    if (!ranges && ['migration.ranges', 'migration.entities'].includes(table)) continue;
    if (hashes.get(table)?.[0] === hash[0]) continue;
    const rows = await rowsOf(target, table, expected.omitted.get(table) ?? []);
    sameDump(
      new Map([[table, rows]]),
      new Map([[table, expected.rows.get(table) ?? []]]),
      `${what}: not the rows of a run without a fault`,
    );
  }
}

/** Right after a fault: id maps and checkpoints are there together or not at all. */
export async function sameTransaction(target: Sql, what: string): Promise<void> {
  const [ledger] = await target`select to_regclass('migration.entities') is not null as there`;
  if (ledger?.['there'] !== true) return;
  const entities = await target<{ name: string; mapped: number }[]>`
    select e.entity as name, coalesce((
      select sum(r.merged) from migration.ranges as r where r.entity = e.entity), 0)::integer
      + (select count(*)::integer from migration.gone as g where g.entity = e.entity) as mapped
    from migration.entities as e where e.phase <> 'archive' order by 1`;
  if (entities.length === 0) return;
  const counts = entities.map(
    ({ name }) => `select '${name}' as name, count(*)::integer as mapped from ids."${name}"`,
  );
  const found = await target.unsafe<{ name: string; mapped: number }[]>(
    `${counts.join(' union all ')} order by 1`,
  );
  assert.equal([...found], [...entities], `${what}: id maps and checkpoints differ`);
}

/** The ledger: balanced, all entities complete, and no run that seems to be at work. */
export async function ledgerHolds(target: Sql, what: string): Promise<void> {
  const check = readFileSync(join(ROOT, 'checks/engine/balance.sql'), 'utf8')
    .trim()
    .replace(/;$/, '');
  assert.equal([...(await target.unsafe(check))], [], `${what}: the ledger does not balance`);
  const open = await target`
    select run, status from migration.runs
    where status = 'running' or (status <> 'done' and run = (select max(run) from migration.runs))`;
  assert.equal([...open], [], `${what}: a run is not closed`);
  const partial = await target`select entity from migration.entities where status <> 'complete'`;
  assert.equal([...partial], [], `${what}: entities are not complete`);
  const mixed = await target`
    select entity from migration.ranges group by entity having count(distinct basis) > 1`;
  assert.equal([...mixed], [], `${what}: ranges of an entity differ in what decided about them`);
}

/**
 * No session of ours in target or source, no login for the source in the catalog, no lock, no
 * prepared transaction.
 */
export async function noTraces(target: Sql, source: Sql, what: string, seconds = 5): Promise<void> {
  await waitFor(
    `${what}: no session of a runner in the target`,
    () => target<{ pid: number }[]>`
      select 1 as pid where not exists (
        select from pg_stat_activity
        where datname = current_database() and application_name like '%runner%')`,
    seconds,
  );
  await waitFor(
    `${what}: no session of ours in the source`,
    () => source`
      select 1 as pid where not exists (
        select from pg_stat_activity
        where datname = current_database() and usename = 'legacy_reader')`,
    seconds,
  );
  const left = await target`
    select 'login' as what, srvname::text as name from pg_user_mappings
    union all
    select 'lock', l.objid::text from pg_locks as l
    join pg_database as d on d.oid = l.database and d.datname = current_database()
    where l.locktype = 'advisory'
    union all
    select 'prepared transaction', gid from pg_prepared_xacts where database = current_database()`;
  assert.equal([...left], [], `${what}: something is left`);
}

/** What was ever written in a source, table by table; of sessions that have ended. */
export async function writtenIn(source: Sql): Promise<Dump> {
  const written = await source<{ name: string; rows: string }[]>`
    select relname as name, (n_tup_ins + n_tup_upd + n_tup_del)::text as rows
    from pg_stat_user_tables order by 1`;
  return new Map(written.map(({ name, rows }) => [name, [rows]]));
}

/** Nothing was written in a source that is a fresh copy, once no session of ours is in it. */
export async function sourceUnwritten(source: Sql): Promise<void> {
  const written = [...(await writtenIn(source))].filter(([, [rows]]) => rows !== '0');
  assert.equal(written, [], 'the source was written');
}

async function rowsOf(target: Sql, table: string, columns: string[]): Promise<string[]> {
  const rows = await target.unsafe<{ row: string }[]>(
    `select (to_jsonb(t) - '{${columns.join(',')}}'::text[])::text as row from ${table} as t order by 1`,
  );
  return rows.map(({ row }) => row);
}

async function hashesOf(target: Sql, tables: Map<string, string[]>): Promise<Dump> {
  const each = [...tables].map(
    ([table, columns]) => `select '${table}' as name, concat_ws(' ', count(*), sum(hashtextextended(
      (to_jsonb(t) - '{${columns.join(',')}}'::text[])::text, 0)::numeric)) as hash from ${table} as t`,
  );
  const rows = await target.unsafe<{ name: string; hash: string }[]>(each.join(' union all '));
  return new Map(rows.map(({ name, hash }) => [name, [hash]]));
}
