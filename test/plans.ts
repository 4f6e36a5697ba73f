/* Plans of all statements of a database, those inside functions included, as the server logs them. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Sql } from 'postgres';

/** A node of a plan, as far as it is looked at. */
export interface PlanNode {
  'Node Type': string;
  'Parent Relationship'?: string;
  'Subplan Name'?: string;
  'Relation Name'?: string;
  'Plan Rows': number;
  Alias?: string;
  Plans?: PlanNode[];
}

/** A statement, and how it was done. */
export interface Planned {
  text: string;
  plan: PlanNode;
}

/** Where the log of the server of a database is read from. */
export interface PlanLog {
  database: string;
  file: string;
  from: number;
}

/** From now on every session of the database logs all of its plans; `admin`: a superuser's, in it. */
export async function logPlans(admin: Sql): Promise<PlanLog> {
  const [row] = await admin<{ database: string; data: string }[]>`
    select current_database() as database, current_setting('data_directory') as data`;
  if (row === undefined) throw new Error('no database');
  // the settings have no names before
  await admin`load 'auto_explain'`;
  for (const setting of [
    "session_preload_libraries = 'auto_explain'",
    'auto_explain.log_min_duration = 0',
    'auto_explain.log_nested_statements = on',
    "auto_explain.log_format = 'json'",
    'auto_explain.log_parameter_max_length = 0',
  ]) {
    await admin.unsafe(`alter database ${row.database} set ${setting}`);
  }
  const file = join(dirname(row.data), 'server.log');
  return { database: row.database, file, from: sizeOf(file) };
}

/** The plans that were logged since then, those without a foreign scan left out; the log goes on behind. */
export function remotePlans(log: PlanLog): Planned[] {
  const planned: Planned[] = [];
  let entry: string[] | undefined;
  for (const line of linesFrom(log)) {
    if (line.startsWith('\t')) {
      entry?.push(line);
      continue;
    }
    keep(planned, entry);
    entry =
      line.includes(`@${log.database} LOG:  duration: `) && line.endsWith('plan:') ? [] : undefined;
  }
  keep(planned, entry);
  return planned;
}

/**
 * What of a plan may ask the source once per row, or depends on the order in which it sorts:
 *   a merge join over a foreign scan;
 *   a nested loop over a foreign scan, unless its other side reads nothing at all (Result, Values Scan,
 *   Function Scan and what is made of them) or is one row, the same for all: an aggregate without groups,
 *   a row found by constants;
 *   a subplan with a foreign scan that is done per row (an InitPlan is done once, a hashed one, too).
 * A join that the source does is one foreign scan. `undefined` = nothing.
 */
export function unsafeJoin(plan: PlanNode): string | undefined {
  const sides = (plan.Plans ?? []).filter(isSide);
  const [outer, inner] = sides;
  const type = plan['Node Type'];
  const remote = sides.map((side) => scans(side, isRemote));
  if (type === 'Merge Join' && remote.includes(true)) return 'a merge join over a foreign scan';
  if (type === 'Nested Loop' && outer !== undefined && inner !== undefined) {
    if (remote[1] === true && !isSmall(outer)) return 'a nested loop, the foreign scan inside';
    if (remote[0] === true && !isSmall(inner)) return 'a nested loop over a foreign scan';
  }
  for (const child of plan.Plans ?? []) {
    if (child['Parent Relationship'] === 'SubPlan' && scans(child, isRemote)) {
      const name = child['Subplan Name'] ?? '';
      const done = JSON.stringify({ ...plan, Plans: [] });
      if (!done.includes(`hashed ${name}`) && !name.startsWith('CTE '))
        return 'a subplan per row with a foreign scan';
    }
    const found = unsafeJoin(child);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isSide(node: PlanNode): boolean {
  return ['Outer', 'Inner'].includes(node['Parent Relationship'] ?? '');
}

function isRemote(node: PlanNode): boolean {
  return node['Node Type'] === 'Foreign Scan';
}

function isSmall(node: PlanNode): boolean {
  return !scans(node, readsRows) || (node['Plan Rows'] === 1 && !isAsked(node));
}

/** Whether what is found depends on a row of the other side. */
function isAsked(node: PlanNode): boolean {
  const all = below(node);
  const own = new Set(all.map(({ Alias }) => Alias));
  const conditions = all.flatMap((each) =>
    Object.entries(each).flatMap(([key, value]) =>
      /Cond|Filter$/.test(key) && typeof value === 'string' ? [value] : [],
    ),
  );
  // not a function, nor a type
  const columns = /(?<![:\w".])(?:"([^"]+)"|(\w+))\.(?:"[^"]+"|\w+)(?![\w(])/g;
  return conditions.some((text) =>
    [...text.matchAll(columns)].some(([, quoted, plain]) => !own.has(quoted ?? plain)),
  );
}

function below(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(below)];
}

function readsRows(node: PlanNode): boolean {
  return (
    node['Node Type'].endsWith('Scan') &&
    !/^(Values|Function|Subquery|Result)/.test(node['Node Type'])
  );
}

/** Whether a node below, itself included, is such; what is done once before counts nothing. */
function scans(node: PlanNode, is: (node: PlanNode) => boolean): boolean {
  if (is(node)) return true;
  return (node.Plans ?? []).some(
    (child) => child['Parent Relationship'] !== 'InitPlan' && scans(child, is),
  );
}

function keep(planned: Planned[], entry: string[] | undefined): void {
  if (!(entry?.some((line) => line.includes('"Foreign Scan"')) ?? false)) return;
  const end = entry?.indexOf('\t}') ?? -1;
  const logged = JSON.parse(entry?.slice(0, end + 1).join('\n') ?? '') as {
    'Query Text': string;
    Plan: PlanNode;
  };
  planned.push({ text: logged['Query Text'], plan: logged.Plan });
}

/** In pieces: of a large source the log is larger than a string may be. */
function* linesFrom(log: PlanLog): Generator<string> {
  const file = openSync(log.file, 'r');
  try {
    const end = fstatSync(file).size;
    const piece = Buffer.alloc(2 ** 24);
    let rest = Buffer.alloc(0);
    while (log.from < end) {
      const read = readSync(file, piece, 0, Math.min(piece.length, end - log.from), log.from);
      log.from += read;
      const bytes = Buffer.concat([rest, piece.subarray(0, read)]);
      const last = bytes.lastIndexOf('\n');
      yield* bytes
        .subarray(0, last + 1)
        .toString()
        .split('\n')
        .slice(0, -1);
      rest = Buffer.from(bytes.subarray(last + 1));
    }
    log.from -= rest.length;
  } finally {
    closeSync(file);
  }
}

function sizeOf(file: string): number {
  const opened = openSync(file, 'r');
  try {
    return fstatSync(opened).size;
  } finally {
    closeSync(opened);
  }
}
