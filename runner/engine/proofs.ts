import type { Catalog } from './catalog.ts';
import { type Check, type CheckResult, readChecks } from './checks.ts';
import { type Session, transaction } from '../database.ts';
import { recordEvent } from './ledger.ts';
import { hashOf, type Problem } from './text.ts';
import { differences, type EntityFindings } from './verify.ts';

/** What `verify` leaves in the audit trail: counts, no keys, no values. */
export interface Verified {
  /** Number of the last line of the audit trail when it began. */
  after: number;
  /** `filesHash` of the checkout it compared with. */
  files: string;
  /** Entities that were named; none = all. */
  names: string[];
  entities: {
    entity: string;
    compared: number;
    differences: Partial<Record<string, number>>;
    known: Partial<Record<string, number>>;
  }[];
}

/** One result of `check`, as the audit trail keeps it. */
export interface Checked {
  name: string;
  severity: 'error' | 'warning';
  title: string;
  /** Of the check's file now; of rules of the files: of all of them. */
  hash: string;
  findings: number;
  acknowledged: number;
  /** Findings as `runner check` shows them: keys and counts. */
  sample: string[];
  /** The check itself could not be run. */
  failed: boolean;
}

/** What `check` looks at besides the files of checks/: name and what holds when it passes. */
export const FILE_CHECKS: Readonly<Record<string, string>> = {
  'static checks': 'The SQL files keep the rules of checks/static.',
  coverage: 'Every source column is carried, archived or left out with a reason.',
};

/** One hash over every SQL file that decides what is stored. */
export function filesHash(catalog: Catalog): string {
  return hashOf(
    sqlFiles(catalog)
      .map(({ file, hash }) => `${hash}  ${file}\n`)
      .join(''),
  );
}

/** Those files with their sha256, in the order of execution. */
function sqlFiles(catalog: Catalog): { file: string; hash: string }[] {
  const { setup, upgrades, templates, phases, archive } = catalog;
  return [setup, upgrades, templates, phases.flatMap(({ entities }) => entities), archive]
    .flat()
    .map(({ file, hash }) => ({ file, hash }));
}

/** Data checks of a project with the sha256 of their files. */
export function hashedChecks(root: string): (Check & { hash: string })[] {
  return readChecks(root, 'checks').map((check) => ({ ...check, hash: hashOf(check.text) }));
}

/** What the audit trail says last, in the transaction that proves something: before it looks. */
export async function lastEvent(session: Session): Promise<number> {
  const [row] = await session.query<{ event: number }>('select migration.last_event() as event');
  return row?.event ?? 0;
}

/** Enters what `verify` found; `after` is what `lastEvent` said when it began. */
export async function enterVerified(
  session: Session,
  catalog: Catalog,
  { after, names }: Pick<Verified, 'after' | 'names'>,
  found: EntityFindings[],
): Promise<void> {
  const entities = found
    .filter((each) => each.compared > 0 || differences(each) > 0)
    .map(({ entity, compared, counts, knownCounts }) => ({
      entity,
      compared,
      differences: counts,
      known: knownCounts,
    }));
  await enter(session, 'verified', { after, files: filesHash(catalog), names, entities });
}

/** Enters what `check` found in the data, and what it found otherwise, by name (`FILE_CHECKS`). */
export async function enterChecked(
  session: Session,
  catalog: Catalog,
  after: number,
  results: CheckResult[],
  files: { name: string; problems: Problem[] }[] = [],
): Promise<void> {
  const hash = filesHash(catalog);
  const checked: Checked[] = [
    ...results.map(({ check: { name, severity, title, text }, ...result }) => ({
      name,
      severity,
      title,
      hash: hashOf(text),
      findings: result.findings,
      acknowledged: result.acknowledged,
      sample: result.sample,
      failed: result.problem !== undefined,
    })),
    ...files.map(({ name, problems }) => ({
      name,
      severity: 'error' as const,
      title: FILE_CHECKS[name] ?? name,
      hash,
      findings: problems.length,
      acknowledged: 0,
      sample: problems.slice(0, 5).map(({ file, line, rule }) => `${file}:${line} ${rule}`),
      failed: false,
    })),
  ];
  await enter(session, 'checked', { after, files: hash, results: checked });
}

async function enter(session: Session, what: string, details: object): Promise<void> {
  const [row] = await session.query<{ run: number | null }>(
    'select migration.current_run() as run',
  );
  await transaction(session, () => recordEvent(session, row?.run ?? null, what, { ...details }));
}
