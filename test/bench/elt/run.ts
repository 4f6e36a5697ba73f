import type { Sql } from 'postgres';
import { session, type Place } from '../place.ts';
import { dropKeys, isDuplicate, rebuildKeys } from './keys.ts';
import { insertOf, mapOf, readPlan, type Load, type Plan } from './plan.ts';
import { openRelay, type Relay } from './relay.ts';
import { doAll, type Step, type Taken } from './steps.ts';

/** How the ELT is run. */
export interface EltOptions {
  /** Sessions at work at the same time. */
  jobs: number;
  /** Drop foreign keys and indexes before, make them again after. */
  dropKeys: boolean;
  /** Entities to leave out. */
  left: string[];
}

/** What one session of the ELT works with. */
interface Worker {
  sql: Sql;
  relay: Relay;
}

// what an expert sets for a session that loads
const SETTINGS = {
  synchronous_commit: 'off',
  work_mem: '256MB',
  maintenance_work_mem: '512MB',
  jit: 'off',
};

/** Loads everything from the source of a place into its target; returns what the steps took. */
export async function runElt(place: Place, options: EltOptions): Promise<Taken[]> {
  const plan = readPlan(options.left);
  const workers = await Promise.all(
    Array.from({ length: options.jobs }, async () => ({
      sql: session(place.targetUrl, SETTINGS),
      relay: await openRelay(place.sourceUrl, place.targetUrl),
    })),
  );
  const [{ sql } = { sql: session(place.targetUrl) }] = workers;
  try {
    const copies = await prepare(sql, plan, place.sourceUrl);
    const dropped = options.dropKeys ? await dropKeys(sql, targetsOf(plan)) : undefined;
    const taken = await doAll(workers, stepsOf(plan, copies));
    if (dropped !== undefined) taken.push(...(await rebuildKeys(workers, dropped)));
    return taken;
  } finally {
    for (const worker of workers) {
      worker.relay.end();
      await worker.sql.end();
    }
  }
}

/** Tables that are filled, as `schema.table`, archive included. */
export function targetsOf({ loads }: Plan): string[] {
  return [...new Set(loads.map(({ target }) => target))];
}

/** Staging tables, id maps and views; returns the columns that are copied of each source table. */
async function prepare(sql: Sql, plan: Plan, sourceUrl: string): Promise<Map<string, string>> {
  const source = session(sourceUrl);
  const columns = await source<{ table: string; name: string; type: string }[]>`
    select c.relname as table, attname as name, format_type(atttypid, atttypmod) as type
    from pg_attribute as a join pg_class as c on c.oid = a.attrelid
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
      and attnum > 0 and not attisdropped order by attnum`;
  await source.end();

  const copies = new Map<string, string>();
  const texts = ['create schema elt; create schema elt_staging; create schema elt_ids'];
  for (const [table, pick] of plan.staged) {
    const own = columns.filter((column) => column.table === table);
    const wanted = pick(own.map(({ name }) => name));
    const staged = own.filter(({ name }) => wanted.includes(name));
    const list = staged.map(({ name, type }) => `"${name}" ${type}`).join(', ');
    texts.push(`create unlogged table elt_staging.${table} (${list})`);
    copies.set(table, staged.map(({ name }) => `"${name}"`).join(', '));
  }
  for (const { name, mapped } of plan.loads) {
    if (mapped) texts.push(`create unlogged table elt_ids.${name} (legacy_id bigint, id uuid)`);
  }
  texts.push(plan.functions, 'create schema if not exists legacy_archive');
  texts.push(...plan.loads.map(({ define }) => define));
  await sql.unsafe(texts.join(';\n'));
  return copies;
}

/** Each table is copied shortly before it is needed first, while another session inserts. */
function stepsOf(plan: Plan, copies: Map<string, string>): Step<Worker>[] {
  const steps: Step<Worker>[] = [];
  const planned = new Set<string>();
  const known = new Set(plan.loads.map(({ name }) => name));
  for (const load of plan.loads) {
    for (const table of load.reads.filter((name) => !planned.has(name))) {
      planned.add(table);
      const list = copies.get(table) ?? '';
      steps.push({ name: `copy ${table}`, after: [], run: (worker) => copy(worker, table, list) });
    }
    const after = load.reads.map((table) => `copy ${table}`);
    after.push(...load.maps.filter((name) => name !== load.name && known.has(name)));
    steps.push({ name: load.name, after, run: ({ sql }) => insert(sql, load) });
  }
  return steps;
}

async function copy({ sql, relay }: Worker, table: string, list: string): Promise<void> {
  const from = `copy public.${table} (${list}) to stdout with (format binary)`;
  await relay.copy(from, `copy elt_staging.${table} (${list}) from stdin with (format binary)`);
  await sql.unsafe(`analyze elt_staging.${table}`);
}

/** One transaction; where the data has rows that a unique key refuses, once more without them. */
async function insert(sql: Sql, load: Load): Promise<void> {
  const [schema, table] = load.archive ? load.target.split('.') : ['elt', load.name];
  const columns = await sql<{ name: string }[]>`
    select attname as name from pg_attribute
    where attrelid = ${`${schema}.${table}`}::regclass and attnum > 0 order by attnum`;
  const names = columns.map(({ name }) => name);
  const run = async (onConflict: string) => {
    await sql.begin(async (own) => {
      const first = load.maps.includes(load.name);
      if (first) await own.unsafe(mapOf(load, names));
      await own.unsafe(insertOf(load, names, onConflict));
      if (load.mapped && !first) await own.unsafe(mapOf(load, names));
      if (load.mapped) await own.unsafe(`analyze elt_ids.${load.name}`);
    });
  };
  try {
    await run('');
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    await run('on conflict do nothing');
  }
}
