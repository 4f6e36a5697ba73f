import {
  type Catalog,
  type Entity,
  functionsHash,
  hashOf,
  type Problem,
  sourceTables,
} from './catalog.ts';
import { runBeforeChecks } from './checks.ts';
import type { Endpoint } from './config.ts';
import type { Session } from './database.ts';
import { type Diagnosis, examineSource } from './doctor.ts';
import { definitionsOf } from './ledger.ts';
import { buildLink, openPrepared } from './link.ts';
import { preflight } from './preflight.ts';
import { readerHash, readInChild } from './reader-child.ts';
import type { Reading } from './reader.ts';
import { mergeTemplate, render } from './render.ts';

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
}

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
    remark,
    refuse,
  }: {
    root: string;
    catalog: Catalog;
    source: Endpoint;
    run: number;
    remark: (line: string) => void;
    /** Throws where source or target is not as it must be. */
    refuse: (diagnoses: Diagnosis[]) => void;
  },
): Promise<Prepared> {
  const tables = sourceTables(catalog);
  const files = filesHash(root, catalog);
  const targets = targetsOf(catalog);
  const ready = await openPrepared(session, source, { files, tables, targets });
  const missing = ready ? [] : (await buildLink(session, source, tables)).missing;
  refuse(await examineSource(session, tables));
  const there = tables.filter((table) => !missing.includes(table));
  for (const line of await takeSums(session, there, run)) remark(line);
  const problems = ready ? [...catalog.problems] : await build(session, root, catalog);
  if (!ready && problems.length === 0) {
    await session.query(
      `update migration.installed set prepared = migration.prepared_digest($1, $2, $3)`,
      [files, tables, targets],
    );
  }
  problems.push(...(await runBeforeChecks(session, root, remark)));
  if (problems.length > 0) return { problems, entities: [] };
  await session.query('select migration.take_lookups($1)', [run]);
  const entities = await session.query<EntityPlan>('select * from migration.plan_entities()');
  return { problems, entities };
}

/** Enters the entities, creates their views, compares them with both sides, renders their functions. */
async function build(session: Session, root: string, catalog: Catalog): Promise<Problem[]> {
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const readings = await readInChild(entities);
  const unseen = entities.flatMap((entity, index) => unseenNames(entity, readings[index]));
  if (unseen.length > 0) return unseen;
  await session.query('select migration.enter_entities($1::text::jsonb)', [
    JSON.stringify(definitionsOf(catalog, readings)),
  ]);
  const { shapes, problems } = await preflight(session, catalog);
  if (problems.length > 0) return problems;
  const template = mergeTemplate(root);
  const functions = [...shapes.values()].map((shape) => render(template, shape));
  await session.query(
    [
      'drop schema merge cascade',
      'create schema merge',
      'revoke all on schema merge from public',
      ...functions,
      'revoke execute on all functions in schema merge from public',
    ].join(';\n'),
  );
  return [];
}

/**
 * Takes the sums of the source tables. Returns what makes row versions incomparable with those of
 * the last run, a sentence each.
 */
async function takeSums(session: Session, tables: string[], run: number): Promise<string[]> {
  const rows = await session.query<{ table: string; moved: boolean; redefined: boolean }>(
    `select source_table as "table", moved, redefined
     from migration.take_sums($1, $2) order by 1`,
    [tables, run],
  );
  if (rows.some(({ moved }) => moved)) {
    return [
      'the source is not the server, or not the history, of the last run: everything is compared',
    ];
  }
  return rows.map(
    ({ table }) =>
      `the source table ${table} is defined differently now: what reads it is compared whole`,
  );
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
function filesHash(root: string, catalog: Catalog): string {
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  return hashOf(
    [
      functionsHash(catalog),
      mergeTemplate(root),
      readerHash(),
      JSON.stringify(definitionsOf(catalog, [])),
      ...entities.map(({ hash }) => hash),
      ...catalog.archive.map(({ source }) => source),
    ].join('\n'),
  );
}

function targetsOf(catalog: Catalog): string[] {
  const targets = catalog.phases.flatMap(({ entities }) =>
    entities.map(({ target }) => `${target.schema}.${target.table}`),
  );
  return [...new Set(targets)].toSorted();
}
