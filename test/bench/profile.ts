/*
 * Where the time of a first run goes: per entity and step, and what the run does besides.
 * Two clocks of the server are read. Functions (track_functions) say what each entity took, since every
 * entity has functions of its own; statements (pg_stat_statements) say what the steps inside them took,
 * and everything that is no entity's. Temporary tables are made anew for every chunk and their
 * statements with them: statements are told apart by their text.
 */
import type { Sql } from 'postgres';
import { connected, type Pair } from '../../runner/embedded/pair.ts';
import { freshPlace, session, type Place } from './place.ts';
import { firstRun } from './toolkit.ts';

/** What the target is started with; nothing of it stays. */
export const PROFILE_SETTINGS = {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track': 'all',
  'pg_stat_statements.max': '20000',
  track_functions: 'pl',
};

/** The steps of an entity: what of its time each of them is. */
const ENTITY_STEPS = {
  read: 'source rows, the view, storing them in a temporary table',
  hash: 'hash of what the view says (measured apart, of rows that are stored)',
  id: 'new ids (likewise)',
  chunk: 'temporary tables, their statistics, source rows counted apart from the view',
  insert: 'insert into the target, its indexes, and foreign keys that are checked row by row',
  keys: 'foreign keys set by set (hold_parents)',
  write: 'updates, marks of the transaction, rows that are refused',
  ids: 'entries of the id map',
  ledger: 'what is in the way, rejects, filtered rows, ranges and their sums, balance, counts',
  rejects: 'source rows of rejects',
  indexes: 'index of the id map by new id',
} as const;

/** What is done for all entities, by how the statements that the runner sends begin. */
const RUN_STEPS: Record<string, RegExp> = {
  'begin and end of entities':
    /migration\.((start|end|merge)_entity|settle_entities|read_first|(read|write)_chunk)\(/,
  checks: /migration\.(\w*comparisons|run_checks|is_written_right)\(|^-- /,
  'sums and plan': /migration\.(take_\w+|plan_entities|note_definitions|pair_sums)\(/,
  'link and lease': /migration\.(await|open|close)_link\(|hold_lease\(|user mapping|link_login/,
  archive: /migration\.\w*archive\w*\(/,
  preparation:
    /^(create|drop|alter|comment|grant|revoke|do|insert|delete|update)\b|migration\.(open_prepared|prepared_digest|columns_of|enter_entities|build_\w+|point_link)\(/,
  transactions: /^(begin|start transaction|commit|rollback|savepoint|release|set|reset|show)\b/,
};

/** Parts of the ledger, over all entities: few of these statements say whose they are. */
const LEDGER_PARTS: Record<string, RegExp> = {
  ranges: /^insert into migration\.ranges/,
  filtered: /^(delete from|update|insert into) migration\.filtered/,
  rejects: /^(insert into migration\.rejects|update migration\.rejects as r set resolved_run)/,
  gone: /^(truncate|analyze|insert into|update) pg_temp\.gone|^(delete from|insert into) migration\.gone/,
  'images and conflicts': /^insert into migration\.(before_images|conflicts)/,
  'id map of known rows': /^update ids\."\w+" as m set version/,
  'rows as a trigger has stored them': /^update pg_temp\.staged as b set stored_hash/,
  'what is in the way': /^(insert into|update|analyze) pg_temp\.present/,
  'expected counts': /^select count\(\*\) filter \(where p\.overwrite\)/,
  counts: /migration\.(count|balance)_chunk\(/,
};

type Step = keyof typeof ENTITY_STEPS;
type Called = { name: string; total: number; self: number };
type Said = { text: string; seconds: number; calls: number; top: boolean };
type Line = { entity: string; step: string; seconds: number; rows: number };

/** How many rows hashes and ids are measured with. */
const SAMPLE_ROWS = 20_000;
/** Below this share of the time of the server nobody would look. */
const SHOWN = 0.004;

/** One first run of the toolkit, and where its time went. */
export async function profile(pair: Pair, jobs: string): Promise<void> {
  const admin = pair.target.adminUrl();
  await connected(admin, async (sql) => {
    const [loaded] = await sql`select current_setting('shared_preload_libraries') as libraries`;
    if (loaded?.['libraries'] !== PROFILE_SETTINGS.shared_preload_libraries)
      throw new Error(`the target of ${pair.target.directory} runs already, without the profile`);
    await sql`create extension if not exists pg_stat_statements`;
  });
  try {
    const place = await freshPlace(pair, { ownSource: true });
    try {
      await connected(admin, (sql) => sql`select pg_stat_statements_reset()`);
      const { seconds } = await firstRun(place, jobs);
      await printProfile(place, admin, seconds);
    } finally {
      await place.drop();
    }
  } finally {
    await connected(admin, (sql) => sql`drop extension pg_stat_statements`);
  }
}

async function printProfile(place: Place, admin: string, wall: number): Promise<void> {
  const said = await statementsOf(admin, new URL(place.targetAdminUrl).pathname.slice(1));
  const target = session(place.targetAdminUrl);
  const called = await target<Called[]>`
    select concat(schemaname, '.', funcname) as name, total_time / 1000 as total,
      self_time / 1000 as self
    from pg_stat_user_functions`;
  const entities = await target<{ entity: string; rows: number; stored: number }[]>`
    select e.entity, coalesce(sum(r.source_rows), 0)::float8 as rows,
      coalesce(sum(r.merged), 0)::float8 as stored
    from migration.entities as e left join migration.ranges as r on r.entity = e.entity
    where e.position is not null group by 1`;
  const lines: Line[] = [];
  for (const { entity, rows, stored } of entities) {
    const each = await perRow(target, entity);
    const steps = stepsOf(entity, called, said, { hash: each.hash * stored, id: each.id * stored });
    for (const [step, seconds] of Object.entries(steps))
      lines.push({ entity, step, seconds, rows });
  }
  await target.end();

  const top = said.filter((each) => each.top);
  const backend = sum(top.map(({ seconds }) => seconds));
  const chunks = sum(called.filter(isChunk).map(({ total }) => total));
  const ends = sum(lines.filter(isEnd).map(({ seconds }) => seconds));
  const outside = besides(top, ends + chunks);
  const inside = sum(lines.filter((line) => !isEnd(line)).map(({ seconds }) => seconds));
  outside.push({ entity: '', step: 'chunks: other', seconds: chunks - inside, rows: 0 });

  printLines(lines, backend);
  printTotals([...lines, ...outside], backend);
  printParts(lines, said);
  printOther(top.filter((each) => stepOf(each.text) === 'other'));
  console.log(
    `first run ${wall.toFixed(1)} s; sessions of the target ${backend.toFixed(1)} s, of which reading ` +
      `and writing chunks ${chunks.toFixed(1)} s: the steps of all entities explain ` +
      `${((100 * inside) / chunks).toFixed(1)} % of that`,
  );
}

/** Statements by their text, over all sessions of a database. */
async function statementsOf(admin: string, database: string): Promise<Said[]> {
  const sql = session(admin);
  const [lost] = await sql`select dealloc::float8 as statements from pg_stat_statements_info`;
  if (lost?.['statements'] !== 0) throw new Error('pg_stat_statements.max is too small');
  const said = await sql<Said[]>`
    select regexp_replace(btrim(s.query, e' \n\t'), '\\s+', ' ', 'g') as text, s.toplevel as top,
      sum(s.total_exec_time) / 1000 as seconds, sum(s.calls)::float8 as calls
    from pg_stat_statements as s join pg_database as d on d.oid = s.dbid
    where d.datname = ${database} group by 1, 2`;
  await sql.end();
  return said;
}

/** Seconds by step; together they are what the functions of the entity took. */
function stepsOf(
  entity: string,
  called: Called[],
  said: Said[],
  { hash, id }: { hash: number; id: number },
): Record<Step, number> {
  const of = (name: string): Called =>
    called.find((each) => each.name === `merge.${entity}_${name}`) ?? { name, total: 0, self: 0 };
  const taken = (begins: RegExp): number =>
    sum(said.filter(({ text }) => begins.test(text)).map(({ seconds }) => seconds));
  const [stage, fill, apply] = [of('stage'), of('fill'), of('apply')];
  const [write, insert] = [of('write'), of('insert')];
  const ids = taken(new RegExp(`^insert into ids\\."${entity}" \\(legacy_id, id, version`));
  return {
    read: Math.max(0, fill.total - hash - id),
    hash: Math.min(hash, fill.total),
    id,
    chunk: stage.total - fill.total,
    insert: insert.self,
    keys: insert.total - insert.self,
    write: write.total - insert.total,
    ids,
    ledger: apply.total - write.total - ids,
    rejects: of('settle').total,
    indexes: taken(new RegExp(`^alter table ids\\.${entity} (add unique|drop constraint)`)),
  };
}

/** Seconds a row takes to be hashed and to get its id: of rows as they are stored. */
async function perRow(target: Sql, entity: string): Promise<{ hash: number; id: number }> {
  const [made] = await target<{ hash: string | null; name: string; rows: number }[]>`
    select substring(p.prosrc from 's\\.version, (hash_record_extended\\(.*?\\)), *\n') as hash,
      e.target as name, e.map_size::float8 as rows
    from migration.entities as e
    join pg_proc as p on p.oid = to_regproc(format('merge.%I', e.entity || '_fill'))
    where e.entity = ${entity}`;
  if (made === undefined || made.hash === null || made.rows === 0) return { hash: 0, id: 0 };
  await target.unsafe(`
    set timezone = 'UTC'; set jit = off; set max_parallel_workers_per_gather = 0;
    drop table if exists pg_temp.sample;
    create temporary table sample as
      select m.legacy_id as legacy_key, t.* from ids."${entity}" as m
      join ${made.name} as t on t.id = m.id limit ${SAMPLE_ROWS}`);
  const time = async (expression: string): Promise<number> => {
    const began = performance.now();
    await target.unsafe(`select count(${expression}) from pg_temp.sample as v`);
    return (performance.now() - began) / 1000;
  };
  const rows = Math.min(made.rows, SAMPLE_ROWS);
  const nothing = await time('v.legacy_key');
  const measured = async (expression: string): Promise<number> =>
    Math.max(0, Math.min(await time(expression), await time(expression)) - nothing) / rows;
  return {
    hash: await measured(made.hash),
    id: await measured(`migration.new_id('${entity}', v.legacy_key)`),
  };
}

/** What was done for all entities. `ofEntities`: what of it is a step of an entity. */
function besides(top: Said[], ofEntities: number): Line[] {
  const steps = new Map<string, number>();
  for (const { text, seconds } of top)
    steps.set(stepOf(text), (steps.get(stepOf(text)) ?? 0) + seconds);
  const around = 'begin and end of entities';
  steps.set(around, (steps.get(around) ?? 0) - ofEntities);
  return [...steps].map(([step, seconds]) => ({ entity: '', step, seconds, rows: 0 }));
}

function stepOf(text: string): string {
  return Object.entries(RUN_STEPS).find(([, begins]) => begins.test(text))?.[0] ?? 'other';
}

function isChunk({ name }: Called): boolean {
  return /^migration\.(read|write)_chunk$/.test(name);
}

/** Done when the entity ends, not chunk by chunk. */
function isEnd({ step }: Line): boolean {
  return step === 'rejects' || step === 'indexes';
}

function printLines(lines: Line[], backend: number): void {
  const shown = lines
    .filter(({ seconds }) => seconds >= SHOWN * backend)
    .toSorted((a, b) => b.seconds - a.seconds);
  console.table(
    shown.map(({ entity, step, seconds, rows }) => ({
      entity,
      step,
      seconds: seconds.toFixed(2),
      'seconds per million source rows': rows === 0 ? '' : ((1e6 * seconds) / rows).toFixed(1),
    })),
  );
  const rest = sum(lines.filter((line) => !shown.includes(line)).map(({ seconds }) => seconds));
  console.log(`${lines.length - shown.length} smaller ones: ${rest.toFixed(2)} s`);
}

function printTotals(lines: Line[], backend: number): void {
  const steps = [...new Set(lines.map(({ step }) => step))]
    .map((step) => ({
      step,
      seconds: sum(lines.filter((line) => line.step === step).map(({ seconds }) => seconds)),
      meaning: ENTITY_STEPS[step as Step] ?? '',
    }))
    .toSorted((a, b) => b.seconds - a.seconds);
  console.table(
    steps.map(({ step, seconds, meaning }) => ({
      step,
      seconds: seconds.toFixed(2),
      share: `${((100 * seconds) / backend).toFixed(1)} %`,
      meaning,
    })),
  );
}

function printParts(lines: Line[], said: Said[]): void {
  const parts = Object.entries(LEDGER_PARTS).map(([part, begins]) => {
    const taken = said.filter(({ text, top }) => !top && begins.test(text));
    return [part, sum(taken.map(({ seconds }) => seconds))] as const;
  });
  const all = sum(lines.filter(({ step }) => step === 'ledger').map(({ seconds }) => seconds));
  const other = all - sum(parts.map(([, seconds]) => seconds));
  const sorted = [...parts, ['other', other] as const].toSorted(([, a], [, b]) => b - a);
  const words = sorted.map(([part, seconds]) => `${part} ${seconds.toFixed(2)}`);
  console.log(`ledger: ${words.join(', ')}`);
}

function printOther(other: Said[]): void {
  for (const { text, seconds, calls } of other
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, 5))
    console.log(`other: ${seconds.toFixed(2)} s, ${calls} times: ${text.slice(0, 100)}`);
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
