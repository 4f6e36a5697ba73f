import { type Catalog, functionsHash, targetTables } from './catalog.ts';
import { type Entity } from './entity-file.ts';
import type { Happening } from './events.ts';
import { hashOf, type Problem } from './text.ts';
import { runBeforeChecks } from './checks.ts';
import type { Endpoint } from '../config.ts';
import type { Session } from '../database.ts';
import { type Diagnosis, examineSource, examineTables, isAnotherSource } from './doctor.ts';
import { definitionsOf } from './ledger.ts';
import { awaitTurn, buildLink, linkBasis, loginBeside, numberKeys, openPrepared } from './link.ts';
import { preflight } from './preflight.ts';
import { readerHash, readInChild } from './reader-child.ts';
import { type Reading, settled } from './reading.ts';
import { hashedColumns, render, type Shape } from './render.ts';
import { strayEntities, strayProblems } from './strays.ts';
import { bound, literal } from '../quote.ts';

/** What a run has to do for one entity. */
export interface EntityPlan {
  entity: string;
  phase: string;
  /** Rows in the source. */
  source_rows: number;
  chunks: number;
  /** Rows in the chunks. */
  row_count: number;
  /** Has to be called: something to read, or an attempt that did not come to its end. */
  open: boolean;
}

/** What `prepare` found. With problems nothing may be written. */
export interface Prepared {
  problems: Problem[];
  entities: EntityPlan[];
  /** The same of the archive tables. */
  archive: EntityPlan[];
  /** Phases of which an attempt was interrupted or failed: their data checks have yet to pass. */
  unproven: string[];
}

const NOTHING = { entities: [], archive: [], unproven: [] };

/**
 * Opens the link, builds what is not as the files say (link, views, functions of schema merge), looks
 * for what would fail, and plans every entity; in the transaction of the caller, for the run that
 * holds the lease. The session has its login.
 */
export async function prepare(
  session: Session,
  {
    root,
    catalog,
    source,
    run,
    checks = true,
    remark,
    report = () => {},
    refuse,
  }: {
    root: string;
    catalog: Catalog;
    source: Endpoint;
    run: number;
    /** Run `checks/before` as well. */
    checks?: boolean;
    /** `check`: the check before the first write that says it. */
    remark: (line: string, check?: string) => void;
    report?: (event: Happening) => void;
    /** Throws where source or target is not as it must be. */
    refuse: (diagnoses: Diagnosis[]) => void;
  },
): Promise<Prepared> {
  const basis = basisOf(catalog);
  const { files, tables, targets } = basis;
  const ready = await openPrepared(session, source, basis);
  const missing = ready ? [] : await buildLink(session, source, basis);
  if (isAnotherSource(missing, tables)) {
    refuse([examineTables(missing, tables, source)]);
    return { problems: [], ...NOTHING };
  }
  refuse(await examineSource(session, tables));
  const there = tables.filter((table) => !missing.includes(table));
  for (const line of await takeSums(session, there, run)) remark(line);
  const problems = ready ? [...catalog.problems] : await build(session, catalog);
  if (!ready && problems.length === 0) {
    await session.query('select migration.mark_prepared($1, $2, $3)', [files, tables, targets]);
  }
  if (checks) problems.push(...(await runBeforeChecks(session, root, remark, report)));
  if (problems.length > 0) return { problems, ...NOTHING };
  const defined = catalog.archive.map(({ name, source: from, hash }) => ({
    name,
    source: from,
    hash,
  }));
  const rows = await session.batch([
    `select migration.take_lookups(${run})`,
    'select * from migration.plan_entities()',
    `select * from migration.plan_archive(${literal(JSON.stringify(defined))})`,
    'select * from migration.unproven_phases()',
  ]);
  const plans = rows.filter((row) => 'entity' in row) as unknown as EntityPlan[];
  return {
    problems,
    entities: plans.filter(({ phase }) => phase !== 'archive'),
    archive: plans.filter(({ phase }) => phase === 'archive'),
    unproven: rows.flatMap((row) => ('unproven' in row ? [String(row['unproven'])] : [])),
  };
}

/**
 * Opens the link and has views and functions as the files say, for a command that only reads: in
 * the transaction of the caller, who rolls it back. Returns what does not fit, and whether anything had to
 * be built, which other sessions do not see.
 */
export async function prepareReading(
  session: Session,
  { catalog, source }: { catalog: Catalog; source: Endpoint },
): Promise<{ problems: Problem[]; built: boolean }> {
  const basis = basisOf(catalog);
  await awaitTurn(session);
  if (await openPrepared(session, source, basis)) {
    return { problems: catalog.problems, built: false };
  }
  const missing = await buildLink(session, source, basis);
  refuseAnotherSource(missing, basis.tables, source);
  return { problems: await build(session, catalog), built: true };
}

/** Throws where the source is another database: what its absence leads to would fill screens. */
export function refuseAnotherSource(missing: string[], tables: string[], source: Endpoint): void {
  if (!isAnotherSource(missing, tables)) return;
  const { found, fix } = examineTables(missing, tables, source);
  throw new Error(`${found}\nfix: ${fix}`);
}

/**
 * Opens the link as the second session that reads through it, in the transaction of the caller. False
 * where views or functions are not as the files say.
 */
export async function joinReading(
  session: Session,
  { catalog, source }: { catalog: Catalog; source: Endpoint },
): Promise<boolean> {
  await loginBeside(session, source);
  return openPrepared(session, source, basisOf(catalog));
}

/**
 * Enters the entities, creates their views and compares them with both sides: the shapes of those
 * without a problem, and all problems.
 */
export async function fitViews(
  session: Session,
  catalog: Catalog,
): Promise<{ shapes: Map<string, Shape>; problems: Problem[] }> {
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const readings = settled(await readInChild(entities), await numberKeys(session));
  const unseen = entities.flatMap((entity, index) => unseenNames(entity, readings[index]));
  if (unseen.length > 0) return { shapes: new Map(), problems: unseen };
  // before the ledger takes over what the files say
  const strays = strayProblems(catalog, await strayEntities(session, catalog));
  await session.query('select migration.enter_entities($1::text::jsonb)', [
    JSON.stringify(definitionsOf(catalog, readings)),
  ]);
  const { shapes, problems } = await preflight(session, catalog, readings);
  return { shapes, problems: [...strays, ...problems] };
}

/** Entities whose functions are sent in one message. */
const RENDERED_TOGETHER = 20;

/** The same, and renders their functions. */
async function build(session: Session, catalog: Catalog): Promise<Problem[]> {
  const { shapes, problems } = await fitViews(session, catalog);
  if (problems.length > 0) return problems;
  const hashed = [...shapes.values()].map((shape) => [shape.entity.name, hashedColumns(shape)]);
  await session.batch([
    bound('select migration.enter_columns($1::text::jsonb)', [
      JSON.stringify(Object.fromEntries(hashed)),
    ]),
    'select migration.empty_merge()',
  ]);
  const all = [...shapes.values()];
  // a few at a time: their texts are what takes most of the runner's memory
  for (let from = 0; from < all.length; from += RENDERED_TOGETHER) {
    const some = all.slice(from, from + RENDERED_TOGETHER);
    await session.query(some.map((shape) => render(catalog.templates, shape)).join(';\n'));
  }
  await session.query('select migration.close_merge()');
  return [];
}

/**
 * Takes the sums of the source tables. Returns what makes row versions incomparable with those of
 * the last run, a sentence each.
 */
async function takeSums(session: Session, tables: string[], run: number): Promise<string[]> {
  const rows = await session.query<{ source_table: string; moved: boolean; redefined: boolean }>(
    'select * from migration.take_sums($1, $2)',
    [tables, run],
  );
  if (rows.some(({ moved }) => moved)) {
    return [
      'the source is not the server, or not the history, of the last run: everything is compared',
    ];
  }
  return rows.map(
    ({ source_table: table }) =>
      `the source table ${table} is defined differently now: what reads it is compared whole`,
  );
}

/** What decides whether link, views and functions have to be built. */
function basisOf(catalog: Catalog) {
  return {
    files: filesHash(catalog),
    ...linkBasis(catalog),
    targets: targetTables(catalog),
  };
}

/**
 * What is known of a file before it is read with the grammar (order, link, phases to take down) are
 * the names as they are usually written: what the grammar sees has to be among them.
 */
function unseenNames(entity: Entity, reading: Reading | undefined): Problem[] {
  const unseen = [
    ...(reading?.reads ?? []).flatMap((table) =>
      entity.reads.includes(table) ? [] : [`legacy.${table}`],
    ),
    ...(reading?.idMaps ?? []).flatMap((map) =>
      entity.idMaps.includes(map) ? [] : [`ids.${map}`],
    ),
  ];
  return unseen.map((name) => ({
    rule: 'names',
    file: entity.file,
    line: 1,
    column: 1,
    message: `the view reads ${name}, written in a way that is not recognised`,
    fix: `write ${name}, in lower case`,
  }));
}

/** Hash of everything in files that link, views and functions are built of. */
function filesHash(catalog: Catalog): string {
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  return hashOf(
    [
      functionsHash(catalog),
      JSON.stringify(catalog.settings),
      ...catalog.templates.map(({ hash }) => hash),
      readerHash(),
      JSON.stringify(definitionsOf(catalog, [])),
      ...entities.map(({ hash }) => hash),
      ...catalog.archive.map(({ source, key }) => [source, ...key].join()),
    ].join('\n'),
  );
}
