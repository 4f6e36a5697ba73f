/* The runner as a user meets it, by its command line; and ways to compare what it left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import postgres, { type Sql } from 'postgres';
import * as assert from 'uvu/assert';
import { readCatalog, targetSchemas } from '../runner/engine/catalog.ts';
import { connectionOf } from '../runner/commands/schema.ts';
import { parseUrl } from '../runner/config.ts';
import { applySchemaChanges } from '../runner/schema/changes.ts';
import type { Summary } from '../runner/engine/summary.ts';
import { NEUTRAL, type Urls } from './pair.ts';
import { ask, UNDER_RUN } from './ask.ts';
import type { Note } from './run-file.ts';
import { carryOut } from './loaded.ts';

/** What a runner that has ended leaves: exit code (null after a signal) and output. */
export type Ended = { code: number | null; stdout: string; stderr: string };

/** A runner at work. */
export type Started = { child: ChildProcess; ended: Promise<Ended> };

/** Rows (or catalog entries) as text, sorted, per table (or kind of object). */
export type Dump = Map<string, string[]>;

/** A copy of the project whose `sql/` and `checks/` may be edited. */
export type Scratch = {
  root: string;
  /** Changes a file by its text; throws where nothing changes. */
  edit(file: string, change: (text: string) => string): void;
  remove(): void;
};

export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

/** Where a runner takes its databases from. */
export type Databases = Pick<Urls, 'sourceUrl' | 'targetUrl'>;

/**
 * Starts `runner <args>` on these databases, as a process of its own; `null` = none configured. No
 * terminal; `input` piped.
 */
export function startRunner(
  urls: Databases | null,
  args: string[],
  {
    root = ROOT,
    env = {},
    input,
    tsx = import.meta.resolve('tsx'),
  }: { root?: string; env?: Record<string, string>; input?: string; tsx?: string } = {},
): Started {
  const child = spawn(process.execPath, ['--import', tsx, ...callOf(root, args)], {
    cwd: root,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { ...environment(urls), ...env },
  });
  const output = { stdout: '', stderr: '' };
  child.stdin?.end(input);
  child.stdout?.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  const ended = new Promise<Ended>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code) => done({ code, ...output }));
  });
  return { child, ended };
}

/**
 * The runner and its arguments for a project: its own runner where it has one (an installation), otherwise
 * that of this repository.
 */
export function callOf(root: string, args: string[]): string[] {
  const own = join(root, 'runner/index.ts');
  if (existsSync(own)) return [own, ...args];
  return [join(ROOT, 'runner/index.ts'), '--project', root, ...args];
}

function environment(urls: Databases | null): NodeJS.ProcessEnv {
  return {
    ...process.env,
    SOURCE_DATABASE_URL: urls?.sourceUrl ?? '',
    TARGET_DATABASE_URL: urls?.targetUrl ?? '',
  };
}

/**
 * Runs `runner <args>` to its end; in a process that has loaded the runner before, where nothing about the
 * process itself is given or asked for.
 */
export function runner(...parameters: Parameters<typeof startRunner>): Promise<Ended> {
  const [urls, args, { root = ROOT, env, input } = {}] = parameters;
  if (env !== undefined || input !== undefined) return startRunner(...parameters).ended;
  return loadedRunner(urls, args, root);
}

/**
 * Runs `runner <args>` from the first line of its index.ts to its exit code. The second a process takes to
 * load the runner is taken once: see runner-child.ts.
 */
export async function loadedRunner(
  urls: Databases | null,
  args: string[],
  root = ROOT,
): Promise<Ended> {
  const [index = '', ...all] = callOf(root, args);
  const asked = { index, cwd: root, args: all, env: environment(urls) };
  return UNDER_RUN ? ask<Ended>({ kind: 'command', asked }) : carryOut(asked);
}

/** Runs `runner <args>`, which must end with exit 0. */
export async function succeed(...parameters: Parameters<typeof startRunner>): Promise<Ended> {
  const ended = await runner(...parameters);
  assert.is(ended.code, 0, `runner ${parameters[1].join(' ')}: ${ended.stderr}`);
  return ended;
}

/** The last line of standard output, by default that of `up --json` and `status --json`. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows the shape
export function lastLine<T = Summary>({ stdout }: Ended): T {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as T;
}

/** `up --json` that must succeed: its summary. */
export async function up(urls: Databases, ...args: string[]): Promise<Summary> {
  return lastLine(await succeed(urls, ['up', '--json', ...args]));
}

/** Applies the additive schema changes of a project alone: no ledger, no rows. */
export async function changeSchema(
  { targetUrl }: Pick<Databases, 'targetUrl'>,
  root = ROOT,
): Promise<void> {
  const endpoint = parseUrl(targetUrl);
  if (typeof endpoint === 'string') throw new Error(endpoint);
  await applySchemaChanges({
    connection: connectionOf(endpoint),
    root,
    folder: 'additive',
    direction: 'up',
  });
}

/** One connection, with a session that prints values as the others do. */
export function open(url: string): Sql {
  return postgres(url, { max: 1, onnotice: () => {}, connection: { TimeZone: 'UTC' } });
}

/** Copies what of the project may be edited, links the rest; the engine stays where it is. */
export function scratch(): Scratch {
  const project = emptyProject();
  const { root } = project;
  for (const part of ['sql', 'checks']) {
    const filter = (path: string): boolean => !/[\\/](engine|static)$|\.ts$/.test(path);
    cpSync(join(ROOT, part), join(root, part), { recursive: true, filter });
  }
  for (const part of ['schema-changes', 'test']) symlinkSync(join(ROOT, part), join(root, part));
  return project;
}

function emptyProject(): Scratch {
  const root = mkdtempSync(join(tmpdir(), 'runner-'));
  const remove = (): void => {
    process.off('exit', remove);
    rmSync(root, { recursive: true, force: true });
  };
  // also when a test fails before it does so itself
  process.once('exit', remove);
  return {
    root,
    edit(file, change) {
      const text = readFileSync(join(root, file), 'utf8');
      const changed = change(text);
      assert.is.not(changed, text, `the edit of ${file} changes nothing`);
      writeFileSync(join(root, file), changed);
    },
    remove,
  };
}

/** Files by which a project of a test does without checks of the engine. */
export function withoutChecks(...names: string[]): Record<string, string> {
  const text = '-- Not looked at in this test.\n--\n-- severity  error\n\nselect 1 limit 0;\n';
  return Object.fromEntries(names.map((name) => [`checks/${name}.sql`, text]));
}

/** A project of these files. Tables of tests have no policies. */
export function tinyProject(files: Record<string, string>): Scratch {
  const project = emptyProject();
  for (const folder of ['sql', 'checks']) mkdirSync(join(project.root, folder));
  for (const [file, text] of Object.entries({ ...withoutChecks('row_level_security'), ...files })) {
    mkdirSync(dirname(join(project.root, file)), { recursive: true });
    writeFileSync(join(project.root, file), text);
  }
  return project;
}

/** The second project, `test/neutral`, to be edited; its databases are the pairs `neutral`. */
export function neutralProject(): Scratch {
  const project = emptyProject();
  // not the servers of somebody who tries it where it is
  const filter = (path: string): boolean => basename(path) !== '.embedded';
  cpSync(NEUTRAL, project.root, { recursive: true, filter });
  return project;
}

/** The file of an entity for a project of a test; `t` is the driving table, `header` whole lines. */
export function entityFile(
  table: string,
  source: string,
  columns: string[],
  { header = '', joins = [] }: { header?: string; joins?: string[] } = {},
): string {
  return `-- Rows of ${source}.
--
-- target   public.${table}
-- source   ${source}
-- adopt    none
${header}
create view transform.${table} as
select
  ${['t.id as legacy_key', ...columns].join(',\n  ')}
from legacy.${source} as t${joins.map((join) => `\n${join}`).join('')};
`;
}

/** Prints what a test has found out: numbers of cases, seconds. */
export function note(text: string): void {
  if (process.send === undefined) console.log(text);
  else process.send({ kind: 'note', text } satisfies Note);
}

/** Waits until a query returns a row, and returns it. */
export async function waitFor<Row extends object>(
  what: string,
  query: () => PromiseLike<readonly Row[]>,
  seconds = 30,
): Promise<Row> {
  const until = Date.now() + seconds * 1000;
  for (;;) {
    const [row] = await query();
    if (row !== undefined) return row;
    if (Date.now() > until) throw new Error(`not so after ${seconds} s: ${what}`);
    await sleep(25);
  }
}

/**
 * All rows of the schemas a project writes to; tables of another schema than `public` under their
 * whole name. With `clock: false` without the columns that some view of the table does not supply
 * and that are filled with the time of the load: they differ between equal migrations.
 */
export async function dumpRows(
  target: Sql,
  { clock, root = ROOT }: { clock: boolean; root?: string },
): Promise<Dump> {
  const omitted = clock ? new Map<string, string[]>() : await clockColumns(target, root);
  const dump: Dump = new Map();
  for (const schema of targetSchemas(readCatalog(root))) {
    for (const table of await tablesOf(target, schema)) {
      const name = schema === 'public' ? table : `${schema}.${table}`;
      const rows = await target<{ row: string }[]>`
        select (to_jsonb(t) - ${omitted.get(name) ?? []}::text[])::text as row
        from ${target(schema)}.${target(table)} as t order by 1`;
      dump.set(
        name,
        rows.map(({ row }) => row),
      );
    }
  }
  return dump;
}

/**
 * Which version of every row stands where: equal only if no row was written. With `locks: true`
 * also only if none was locked, or written and rolled back.
 */
export async function touches(
  target: Sql,
  schemas = ['public'],
  { locks = false } = {},
): Promise<Dump> {
  const dump: Dump = new Map();
  for (const schema of schemas) {
    for (const table of await tablesOf(target, schema)) {
      const [row] = await target<{ state: string }[]>`
        select concat_ws(' ', count(*), sum(hashtextextended(concat(
          t.ctid, t.xmin, case when ${locks} then t.xmax end), 0)))
          as state
        from ${target(schema)}.${target(table)} as t`;
      dump.set(`${schema}.${table}`, [row?.state ?? '']);
    }
  }
  return dump;
}

/** Everything the catalog says about a schema, as PostgreSQL prints it. */
export async function dumpCatalog(target: Sql, schema = 'public'): Promise<Dump> {
  const entries = await target<{ kind: string; entry: string }[]>`
    with relations as (
      select c.* from pg_class as c where c.relnamespace = ${schema}::regnamespace
    )
    select 'relation' as kind, concat_ws(' ', c.relname, c.relkind, c.relowner::regrole, c.relacl,
      c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relreplident,
      obj_description(c.oid, 'pg_class')) as entry
    from relations as c
    union all
    select 'column', concat_ws(' ', c.relname, a.attnum, a.attname,
      format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attacl, a.attidentity, a.attgenerated,
      pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
    from relations as c
    join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
    union all
    select 'constraint', concat_ws(' ', c.relname, n.conname, n.convalidated,
      pg_get_constraintdef(n.oid))
    from relations as c join pg_constraint as n on n.conrelid = c.oid
    union all
    select 'index', pg_get_indexdef(i.indexrelid)
    from relations as c join pg_index as i on i.indrelid = c.oid
    union all
    select 'trigger', concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
    from relations as c join pg_trigger as t on t.tgrelid = c.oid and not t.tgisinternal
    union all
    select 'trigger of a constraint', concat_ws(' ', n.conname, t.tgtype, t.tgenabled)
    from relations as c
    join pg_trigger as t on t.tgrelid = c.oid and t.tgisinternal
    join pg_constraint as n on n.oid = t.tgconstraint
    union all
    select 'policy', concat_ws(' ', p.tablename, p.policyname, p.cmd, p.roles, p.qual, p.with_check)
    from pg_policies as p where p.schemaname = ${schema}
    union all
    select 'view', concat_ws(' ', c.relname, pg_get_viewdef(c.oid))
    from relations as c where c.relkind in ('v', 'm')
    union all
    select 'function', concat_ws(' ', pg_get_functiondef(p.oid), p.proacl)
    from pg_proc as p where p.pronamespace = ${schema}::regnamespace and p.prokind in ('f', 'p')
    union all
    select 'type', concat_ws(' ', t.typname, t.typtype, t.typacl, e.labels)
    from pg_type as t
    left join lateral (
      select string_agg(l.enumlabel, ',' order by l.enumsortorder) as labels
      from pg_enum as l where l.enumtypid = t.oid
    ) as e on true
    where t.typnamespace = ${schema}::regnamespace
    union all
    select 'sequence', concat_ws(' ', s.sequencename, s.start_value, s.increment_by, s.last_value)
    from pg_sequences as s where s.schemaname = ${schema}
    order by 1, 2`;
  const dump: Dump = new Map();
  for (const { kind, entry } of entries) dump.set(kind, [...(dump.get(kind) ?? []), entry]);
  return dump;
}

/** Asserts that two dumps are equal; says the first differences of each part. */
export function sameDump(actual: Dump, expected: Dump, what = ''): void {
  const lines: string[] = [];
  for (const part of new Set([...actual.keys(), ...expected.keys()])) {
    const less = without(expected.get(part) ?? [], actual.get(part) ?? []);
    const more = without(actual.get(part) ?? [], expected.get(part) ?? []);
    if (less.length + more.length === 0) continue;
    lines.push(
      `${part}: ${less.length} lack, ${more.length} are too many`,
      ...less.slice(0, 2).map((line) => `  - ${line}`),
      ...more.slice(0, 2).map((line) => `  + ${line}`),
    );
  }
  const shown = lines.slice(0, 15);
  if (lines.length > shown.length) shown.push('...');
  assert.is(lines.length, 0, [what, ...shown].join('\n'));
}

/** No session of a runner and no login for the source is left, in the target or the source. */
export async function noResidue(target: Sql, source: Sql): Promise<void> {
  await waitFor('no session of a runner is left in the target', async () =>
    absent(
      await target`
        select from pg_stat_activity
        where datname = current_database() and application_name like 'runner%'`,
    ),
  );
  await waitFor('no session of the reader is left in the source', async () =>
    absent(
      await source`
        select from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and usename like '%reader%'`,
    ),
  );
  const mappings = await target`select umid from pg_user_mappings where srvname = 'legacy_source'`;
  assert.equal([...mappings], [], 'a login for the source is left in the target');
}

function absent(rows: readonly object[]): object[] {
  return rows.length === 0 ? [{}] : [];
}

async function tablesOf(target: Sql, schema: string): Promise<string[]> {
  const rows = await target<{ name: string }[]>`
    select c.relname as name from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relkind in ('r', 'p') order by 1`;
  return rows.map(({ name }) => name);
}

export async function clockColumns(target: Sql, root = ROOT): Promise<Map<string, string[]>> {
  const entities = readCatalog(root).phases.flatMap((phase) => phase.entities);
  const list = JSON.stringify(entities.map(({ name, target: { table } }) => ({ name, table })));
  const rows = await target<{ table_name: string; columns: string[] }[]>`
    select c.table_name, array_agg(distinct c.column_name::text) as columns
    from information_schema.columns as c
    join jsonb_to_recordset(${list}::text::jsonb) as e (name text, "table" text)
      on e.table = c.table_name
    where c.table_schema = 'public' and c.column_default ~* 'now\\(\\)|current_timestamp'
      and not exists (
        select from pg_attribute as a
        where a.attrelid = to_regclass(concat('transform.', e.name)) and a.attname = c.column_name)
    group by 1`;
  return new Map([
    ...rows.map(({ table_name: table, columns }): [string, string[]] => [table, columns]),
    // when and by which run it was entered
    ['migration_mappings', ['migrated_at', 'migration_batch']],
  ]);
}

/** What of a sorted list is not in another, equal entries counted. */
function without(list: string[], other: string[]): string[] {
  const counts = new Map<string, number>();
  for (const entry of other) counts.set(entry, (counts.get(entry) ?? 0) + 1);
  return list.filter((entry) => {
    const count = counts.get(entry) ?? 0;
    counts.set(entry, count - 1);
    return count <= 0;
  });
}
