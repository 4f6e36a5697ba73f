/* The facts of a report: what the ledger says, and what the files say. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';

import type { FromFiles } from '../../checks/child.ts';
import type { Catalog } from '../engine/catalog.ts';
import type { Entity } from '../engine/entity-file.ts';
import { saidOf } from '../conditions.ts';
import type { Session } from '../database.ts';
import { type Check, readChecks } from '../engine/checks.ts';
import {
  type Checked,
  FILE_CHECKS,
  filesHash,
  hashedChecks,
  type Verified,
} from '../engine/proofs.ts';
import { placeOf } from '../project.ts';
import type { Summary } from '../engine/summary.ts';
import { hashOf } from '../engine/text.ts';
import type {
  Account,
  AmountFact,
  CheckFact,
  EntityFact,
  Facts,
  FileFacts,
  KeysFact,
  LeftOutFact,
  Maker,
  RejectFact,
  VerifiedFact,
} from './facts.ts';
import { obstaclesOf } from './obstacles.ts';

/** What `migration.report()` returns; rows with the names of their columns. */
interface Told {
  place: Row;
  lastWrite: { at: string; run: number | null; what: string } | null;
  runs: Row[];
  phases: Row[];
  entities: Row[];
  rejects: Row[];
  leftOut: Row[];
  gone: Row[];
  edits: Row[];
  verified: (Omit<VerifiedFact, 'names'> & { details: Verified })[];
  checks: { at: string; who: string; run: number; stands: boolean; result: Checked }[];
  accepted: Row[];
}

type Row = Record<string, unknown>;

/** What a report is made from besides the ledger. */
export interface Surroundings {
  catalog: Catalog;
  root: string;
  summary: Summary;
  files: FileFacts;
  amounts: AmountFact[];
  amountsMissing: string | null;
  maker: Maker;
  /** `host:port` and database. */
  from: { place: string; database: string };
  to: { place: string; database: string };
}

/** Reads the ledger, in one statement, and puts the facts together. */
export async function readFacts(session: Session, around: Surroundings): Promise<Facts> {
  const { catalog, root, summary, files, amounts, amountsMissing } = around;
  const [row] = await session.query<{ told: Told }>('select migration.report() as told');
  if (row === undefined) throw new Error('the target answered without a report');
  const { told } = row;
  const place = told.place as Record<string, string> & { edition: number };
  const entities = told.entities.map((each) => camel<EntityFact>(each));
  const hash = filesHash(catalog);
  const facts: Facts = {
    report: 1,
    madeAt: place['at'] ?? '',
    maker: around.maker,
    from: { ...around.from, history: place['source_history'] ?? null },
    to: { ...around.to, server: place['server'] ?? '', edition: place.edition },
    verdict: summary.verdict,
    complete: summary.ok && !summary.entities.some(({ changed }) => changed),
    obstacles: [],
    lastWrite: told.lastWrite,
    account: accountOf(entities),
    byPhase: summary.phases
      .map(({ phase, status }) => {
        const inPhase = entities.filter((each) => each.phase === phase);
        return { phase, status, entities: inPhase.length, ...accountOf(inPhase) };
      })
      .filter(({ entities: count, status }) => count > 0 || status !== 'complete'),
    entities,
    amounts,
    amountsMissing,
    rejects: told.rejects.map((each) => rejectOf(camel(each), entities, catalog)),
    leftOut: told.leftOut.map((each) => leftOutOf(camel(each), catalog)),
    gone: told.gone.map(({ reason, ...each }) => camel<KeysFact>({ ...each, what: reason })),
    edits: told.edits.map((each) => camel<KeysFact>(each)),
    verified: told.verified.map((each) => verifiedOf(each, hash)),
    checks: checksOf(told.checks, root, hash),
    accepted: told.accepted.map((each) => camel(each)),
    runs: told.runs.map((each) => camel(each)),
    phases: told.phases.map((each) => camel(each)),
    wal: place['wal'] ?? '',
    root: hashOf(entities.map(({ entity, digest }) => `${digest ?? '-'}  ${entity}\n`).join('')),
    ...files,
  };
  return { ...facts, obstacles: obstaclesOf(facts, summary.lastRun) };
}

/**
 * What the files say. `read`: what the coverage proof found out, in a process of its own (the grammar
 * is large).
 */
export function fileFacts(catalog: Catalog, root: string, { coverage }: FromFiles): FileFacts {
  const { links } = coverage.lineage;
  const columnsOf = (name: string, phase: string) =>
    links
      .filter((link) => link.entity === name && link.phase === phase)
      .map(({ source, target, how }) => ({
        source: `${source.table}.${source.column}`,
        target: target.table.startsWith('ids.')
          ? `${target.table}.${target.column}`
          : target.column,
        how,
      }));
  return {
    definitions: [
      ...catalog.phases.flatMap(({ entities }) =>
        entities.map((entity) => ({
          ...defined(entity),
          entity: entity.name,
          deletes: entity.deletes,
          idMaps: entity.idMaps,
          reasons: reasonsOf(entity),
          columns: columnsOf(entity.name, entity.phase),
        })),
      ),
      ...catalog.archive.map((table) => ({
        ...defined(table),
        entity: table.name,
        deletes: null,
        idMaps: table.idMaps,
        reasons: [],
        columns: columnsOf(table.target.table, table.phase),
      })),
    ],
    omitted: coverage.lists.leftOut.map(({ name, reason }) => ({ name, reason })),
    files: sqlFilesIn(root),
    filesHash: filesHash(catalog),
  };
}

/** Every SQL file of project and engine that does something, or proves it, with its sha256. */
function sqlFilesIn(root: string): FileFacts['files'] {
  const found = ['schema-changes', 'sql', 'checks', 'sql/engine', 'checks/engine']
    .filter((folder) => existsSync(placeOf(root, folder)))
    .flatMap((folder) =>
      readdirSync(placeOf(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.sql'))
        .map((name) => `${folder}/${name.replaceAll('\\', '/')}`),
    );
  // where the project is the package itself, its folders hold those of the engine
  return [...new Set(found)]
    .toSorted()
    .map((file) => ({ file, hash: hashOf(readFileSync(placeOf(root, file), 'utf8')) }));
}

/** Data checks whose text compares amounts: what section "money" shows. */
export function amountChecks(root: string): Check[] {
  return readChecks(root, 'checks').filter(({ text }) =>
    text.includes('migration.money_differences('),
  );
}

/** The amounts of both sides, in the transaction of the caller, with the link open. */
export async function readAmounts(session: Session, checks: Check[]): Promise<AmountFact[]> {
  const found: AmountFact[] = [];
  for (const { text } of checks) {
    const rows = await session.query<Row>('select * from migration.report_amounts($1)', [text]);
    found.push(...rows.map((each) => camel<AmountFact>(each)));
  }
  return found;
}

function defined(file: {
  phase: string;
  file: string;
  hash: string;
  text: string;
  target: { schema: string; table: string };
  source: string | null;
}) {
  const { phase, hash, text, source, target } = file;
  const purpose = /^-- (.*)/.exec(text)?.[1] ?? '';
  return {
    phase,
    file: file.file,
    hash,
    purpose,
    source,
    target: `${target.schema}.${target.table}`,
  };
}

function accountOf(entities: EntityFact[]): Account {
  const sum = (key: 'source' | 'stored' | 'rejected' | 'leftOut') =>
    entities.reduce((total, entity) => total + entity[key], 0);
  const [source, stored, rejected, leftOut] = [
    sum('source'),
    sum('stored'),
    sum('rejected'),
    sum('leftOut'),
  ];
  return { source, stored, rejected, leftOut, unaccounted: source - stored - rejected - leftOut };
}

type Reason = FileFacts['definitions'][number]['reasons'][number];

/** Header lines `-- reject  name  sentence`, where the files have them. */
function reasonsOf(entity: Entity & { reasons?: Reason[] }): Reason[] {
  return entity.reasons ?? [];
}

function sentenceOf(catalog: Catalog, name: string, kind: Reason['kind'], reason: string): string {
  const entity = catalog.phases.flatMap((phase) => phase.entities).find((e) => e.name === name);
  if (entity === undefined) return '';
  return reasonsOf(entity).find((r) => r.kind === kind && r.name === reason)?.sentence ?? '';
}

function rejectOf(row: RejectFact, entities: EntityFact[], catalog: Catalog): RejectFact {
  const entity = entities.find(({ entity: name }) => name === row.entity);
  const wanted = (entity?.source ?? 0) - (entity?.leftOut ?? 0);
  const said = saidOf(row.sqlstate ?? '', {
    constraint: row.constraintName,
    column: row.columnName,
  });
  return {
    ...row,
    sentence:
      row.kind === 'error'
        ? `refused by the database: ${said ?? row.sqlstate ?? ''}`
        : sentenceOf(catalog, row.entity, 'reject', row.reason),
    share: wanted === 0 ? 0 : row.rowCount / wanted,
    allowed: (row.kind === 'rule' ? entity?.rulesAllowed : entity?.errorsAllowed) ?? 0,
  };
}

function leftOutOf(row: LeftOutFact, catalog: Catalog): LeftOutFact {
  return { ...row, sentence: sentenceOf(catalog, row.entity, 'filter', row.reason) };
}

function verifiedOf(
  { at, who, run, stands, details }: Told['verified'][number],
  hash: string,
): VerifiedFact {
  const { names, files, entities } = details;
  const total = (counts: Partial<Record<string, number>>[]) =>
    counts.flatMap((each) => Object.values(each)).reduce<number>((sum, n) => sum + (n ?? 0), 0);
  return {
    at,
    who,
    run,
    stands,
    sameFiles: files === hash,
    names,
    compared: entities.reduce((sum, { compared }) => sum + compared, 0),
    differences: total(entities.map(({ differences }) => differences)),
    rewritten: total(entities.map(({ known }) => ({ rewritten: known['rewritten'] }))),
    rejected: total(entities.map(({ known }) => ({ rejected: known['rejected'] }))),
  };
}

/**
 * Every check that there is now, and what it said when it ran last; others that have left a result, as
 * long as that holds.
 */
function checksOf(ran: Told['checks'], root: string, hash: string): CheckFact[] {
  const known = [
    ...Object.entries(FILE_CHECKS).map(([name, title]) => ({
      name,
      title,
      severity: 'error' as const,
      hash,
    })),
    ...hashedChecks(root),
  ];
  const others = ran
    .filter(({ stands, result }) => stands && !known.some(({ name }) => name === result.name))
    .map(({ result }) => result);
  return [...known, ...others].map(({ name, title, severity, hash: now }) => {
    const last = ran.find(({ result }) => result.name === name);
    return {
      name,
      title: last?.result.title ?? title,
      severity,
      at: last?.at ?? null,
      who: last?.who ?? null,
      run: last?.run ?? null,
      stands: last?.stands ?? false,
      sameFiles: last?.result.hash === now,
      findings: last?.result.findings ?? 0,
      acknowledged: last?.result.acknowledged ?? 0,
      sample: last?.result.sample ?? [],
      failed: last?.result.failed ?? false,
    };
  });
}

/** A row with the names of TypeScript. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows the shape
function camel<Fact>(row: object): Fact {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value as unknown,
    ]),
  ) as Fact;
}
