import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readCatalog, targetSchemas } from '../../runner/engine/catalog.ts';
import { PACKAGE } from '../../runner/project.ts';
import { type Problem } from '../../runner/engine/text.ts';
import { adoptColumns } from './adopt-columns.ts';
import { caseElse } from './case-else.ts';
import { dataCheck } from './data-check.ts';
import { deterministic } from './deterministic.ts';
import { drivingTable } from './driving-table.ts';
import { engineNames } from './engine-names.ts';
import { everyRow } from './every-row.ts';
import { finalNewline } from './final-newline.ts';
import { knownEntities } from './known-entities.ts';
import { knownFunctions } from './known-functions.ts';
import { legacyKey } from './legacy-key.ts';
import { longFile } from './long-file.ts';
import { longLine } from './long-line.ts';
import { lowerCase } from './lower-case.ts';
import { noCut } from './no-cut.ts';
import { noStar } from './no-star.ts';
import { numbering } from './numbering.ts';
import { oneView } from './one-view.ts';
import { ordered } from './ordered.ts';
import { outputColumns } from './output-columns.ts';
import { parallelUnsafe } from './parallel-unsafe.ts';
import { parses } from './parses.ts';
import { qualifiedNames } from './qualified-names.ts';
import { repeatable } from './repeatable.ts';
import { reasonWords } from './reason-words.ts';
import { reasons } from './reasons.ts';
import { schemaChange } from './schema-change.ts';
import { removalColumns } from './removal-columns.ts';
import { sqlInCode } from './sql-in-code.ts';
import { readSql, viewFile, type SqlFile, type ViewFile } from './sql.ts';
import { tabs } from './tabs.ts';
import { undecided } from './undecided.ts';
import { transactionControl } from './transaction-control.ts';

type Rule<F> = (file: F, order: readonly ViewFile[]) => Problem[];

// Any number of digits: a misnamed file is reported once, by the catalog, and checked all the same.
const ENTITY = /^sql\/([1-9]-[^/]+)\/(\d+)_([^/]+)\.sql$/;
// What it is rendered to is read instead: the golden files.
const TEMPLATES = /^sql\/engine\/templates\//;
const ENGINE = /^(sql\/engine|test\/golden)\/[^/]+\.sql$/;
const ARCHIVE = /^sql\/archive\/([^/]+)\.sql$/;

const EVERY_FILE: Rule<SqlFile>[] = [parses, transactionControl, parallelUnsafe, repeatable];
const ENGINE_FILE: Rule<SqlFile>[] = [engineNames];
const ENTITY_FILE: Rule<ViewFile>[] = [
  oneView,
  deterministic,
  ordered,
  noStar,
  caseElse,
  everyRow,
  drivingTable,
  legacyKey,
  outputColumns,
  undecided,
  reasonWords,
  reasons,
  adoptColumns,
  noCut,
  numbering,
  lowerCase,
  longLine,
  longFile,
  tabs,
  finalNewline,
];

/**
 * Everything the files of a project break, found without a database: the catalog's own findings and those
 * of every rule in this folder, sorted by file, line and column. Of the engine only where the project is the
 * package itself. Throws only what the file system throws.
 */
export async function staticProblems(root: string, engineRoot = PACKAGE): Promise<Problem[]> {
  const catalog = readCatalog(root, engineRoot);
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const isPackage = resolve(root) === resolve(engineRoot);
  const folders = ['sql', 'checks', 'schema-changes', ...(isPackage ? ['test/golden'] : [])];
  const sql = await Promise.all(sqlFiles(root, folders).map((file) => readSql(root, file)));
  const views = sql.toSorted(byNumber).flatMap((file) => {
    const name = ENTITY.exec(file.file)?.[3];
    const entity = entities.find((each) => each.file === file.file);
    return name === undefined ? [] : [viewFile(file, name, entity)];
  });
  const archived = sql.flatMap(({ file }) => ARCHIVE.exec(file)?.[1] ?? []);
  const names = new Set([
    ...views.flatMap(({ defines }) => defines),
    ...archived.map((name) => `legacy_archive.${name}`),
  ]);
  const checkFile: Rule<SqlFile>[] = [dataCheck, (file) => knownEntities(file, names)];
  const engine = sql.filter(({ file }) => ENGINE.test(file));
  const checks = sql.filter(({ file }) => /^checks\/((before|engine)\/)?[^/]+\.sql$/.test(file));

  return [
    ...catalog.problems,
    ...apply(EVERY_FILE, sql, views),
    ...apply(ENGINE_FILE, engine, views),
    ...apply(ENTITY_FILE, views, views),
    ...apply(
      [
        (file) => knownFunctions(file, catalog.settings.functions),
        (file) => qualifiedNames(file, targetSchemas(catalog)),
      ],
      views,
      views,
    ),
    ...apply(checkFile, checks, views),
    ...(await schemaChange(root)),
    ...removalColumns(sql, catalog.removal),
    ...(isPackage ? sqlInCode(root) : []),
  ].toSorted(byPlace);
}

function apply<F>(rules: Rule<F>[], files: readonly F[], order: readonly ViewFile[]): Problem[] {
  return files.flatMap((file) => rules.flatMap((rule) => rule(file, order)));
}

function sqlFiles(root: string, folders: string[]): string[] {
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.sql'))
        .map((path) => `${folder}/${path.replaceAll('\\', '/')}`),
    )
    .filter((file) => !TEMPLATES.test(file))
    .toSorted();
}

/** The order of execution of entity files. */
function byNumber(a: SqlFile, b: SqlFile): number {
  const [, phase = '', number = ''] = ENTITY.exec(a.file) ?? [];
  const [, otherPhase = '', otherNumber = ''] = ENTITY.exec(b.file) ?? [];
  if (phase !== otherPhase) return phase < otherPhase ? -1 : 1;
  return Number(number) - Number(otherNumber);
}

function byPlace(a: Problem, b: Problem): number {
  const files = a.file < b.file ? -1 : Number(a.file > b.file);
  return files || a.line - b.line || a.column - b.column || (a.rule < b.rule ? -1 : 1);
}
