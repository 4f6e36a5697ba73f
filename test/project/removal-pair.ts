/* A database to remove columns from, and what to compare before and after. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { Client } from 'pg';

import { readCatalog } from '../../runner/engine/catalog.ts';
import { type Endpoint, parseUrl } from '../../runner/config.ts';
import { connect } from '../../runner/database.ts';
import { install } from '../../runner/engine/ledger.ts';
import { applySchemaChanges } from '../../runner/schema/changes.ts';
import { SchemaChangeError } from '../../runner/schema/error.ts';
import { loadedRunner } from '../runner.ts';
import type { ApplyOptions } from '../../runner/schema/changes.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The phases, by number. */
export const PHASES = [
  '',
  '20260201000000001_validate-and-back-up',
  '20260201000000002_deprecate',
  '20260201000000003_detach',
  '20260201000000004_drop',
];

/** The columns that go, as `table.column`. */
export const REMOVED = [
  'products.sku',
  'profiles.insurance_info',
  'profiles.medical_history',
] as const;

/** The ledger and its functions, without a run: enough for the schema changes themselves. */
export async function installSetup(url: string): Promise<void> {
  const session = await connect(endpointOf(url), 'test');
  try {
    await install(session, readCatalog(ROOT));
  } finally {
    await session.close();
  }
}

/** One phase of the removal, in this process. */
export function phase(
  url: string,
  direction: 'up' | 'down',
  options: Partial<ApplyOptions> & { reason?: string } = {},
): Promise<{ name: string; direction: string }[]> {
  const { reason, ...rest } = options;
  return applySchemaChanges({
    url,
    root: ROOT,
    folder: 'removal',
    direction,
    ...(reason === undefined
      ? {}
      : {
          afterBegin: async (client) => {
            await client.query(`select set_config('migration.accepted_evidence', $1, true)`, [
              reason,
            ]);
          },
        }),
    ...rest,
  });
}

/** The error of a call that must fail. */
export async function failure(call: Promise<unknown>): Promise<SchemaChangeError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof SchemaChangeError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

/** Starts `runner <args>` on a pair. */
export function start(pair: { sourceUrl: string; targetUrl: string }, args: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'runner/index.ts', ...args], {
    cwd: ROOT,
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      CI: '1',
      NO_COLOR: '1',
      SOURCE_DATABASE_URL: pair.sourceUrl,
      TARGET_DATABASE_URL: pair.targetUrl,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<{ code: number | null; output: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, output })),
  );
  return { child, ended };
}

/** Runs `runner <args>` to its end. */
export async function runner(pair: { sourceUrl: string; targetUrl: string }, ...args: string[]) {
  const { code, stdout, stderr } = await loadedRunner(pair, args);
  return { code, output: `${stdout}${stderr}` };
}

/** A connection; the caller ends it. */
export async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Schema `public` as sorted lines without OIDs; the place of a column in its table is left out. */
export async function dump(db: Client): Promise<string[]> {
  const acl = (list: string) =>
    `(select string_agg(x::text, ' ' order by x::text) from unnest(${list}) as x)`;
  const { rows } = await db.query<{ line: string }>(`
    select line from (
      select format('column %s.%s %s not null %s default %s comment %s grants %s', c.relname,
                    a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                    pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum),
                    ${acl('a.attacl')}) as line
      from pg_class as c
      join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
      union all
      select format('constraint %s on %s %s', conname, conrelid::regclass, pg_get_constraintdef(oid))
      from pg_constraint where connamespace = 'public'::regnamespace
      union all
      select format('index %s', pg_get_indexdef(indexrelid))
      from pg_index join pg_class as c on c.oid = indexrelid
      where c.relnamespace = 'public'::regnamespace
      union all
      select format('policy %s on %s %s %s %s %s', policyname, tablename, cmd, roles, qual, with_check)
      from pg_policies where schemaname = 'public'
      union all
      select format('relation %s %s rls %s %s owner %s options %s comment %s grants %s', relkind,
                    relname, relrowsecurity, relforcerowsecurity, relowner::regrole, reloptions,
                    obj_description(oid, 'pg_class'), ${acl('relacl')})
      from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S')
      union all
      select format('view %s %s', viewname, definition) from pg_views where schemaname = 'public'
      union all
      select format('function %s source %s owner %s comment %s grants %s', pg_get_functiondef(oid),
                    prosrc, proowner::regrole, obj_description(oid, 'pg_proc'), ${acl('proacl')})
      from pg_proc where pronamespace = 'public'::regnamespace and prokind = 'f'
      union all
      select format('trigger %s %s', pg_get_triggerdef(oid), tgenabled)
      from pg_trigger where not tgisinternal
    ) as dump
    order by line collate "C"`);
  return rows.map(({ line }) => line);
}

/** A hash per table of `public` (default: all) over all rows, without the columns that go. */
export async function otherValues(db: Client, only?: string[]): Promise<Record<string, string>> {
  const { rows: tables } = await db.query<{ name: string }>(
    `select tablename as name from pg_tables where schemaname = 'public' order by 1`,
  );
  const hashes: Record<string, string> = {};
  for (const { name } of tables) {
    if (only !== undefined && !only.includes(name)) continue;
    const gone = REMOVED.filter((each) => each.startsWith(`${name}.`)).map(
      (each) => each.split('.')[1] ?? '',
    );
    const { rows } = await db.query<{ hash: string }>(
      `select concat(count(*), ' ', md5(string_agg(t.line, '' order by t.line))) as hash
       from (select md5((to_jsonb(t) - $1::text[])::text) as line from public."${name}" as t) as t`,
      [gone],
    );
    hashes[name] = rows[0]?.hash ?? '';
  }
  return hashes;
}

/** Every value of the columns that go, as `table.column id value`. */
export async function removedValues(db: Client): Promise<string[]> {
  const { rows } = await db.query<{ line: string }>(`
    select line from (
      select format('products.sku %s %s', id, sku) as line from products where sku is not null
      union all
      select format('profiles.insurance_info %s %s', id, insurance_info) from profiles
      where insurance_info is not null
      union all
      select format('profiles.medical_history %s %s', id, medical_history) from profiles
      where medical_history is not null
    ) as x order by line`);
  return rows.map(({ line }) => line);
}

/** Lines of one list that are not in the other. */
export function without(lines: string[], others: string[]): string[] {
  const known = new Set(others);
  return lines.filter((line) => !known.has(line));
}

function endpointOf(url: string): Endpoint {
  const endpoint = parseUrl(url);
  if (typeof endpoint === 'string') throw new Error(endpoint);
  return endpoint;
}
