import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Catalog } from './catalog.ts';
import type { Session } from '../database.ts';
import { hashOf } from './text.ts';

/** What a plan stands on: where one of these is another, it says nothing any more. */
export interface PlanBasis {
  /** Hash of every file that decides what is done. */
  files: Record<string, string>;
  /** A digest of place, definition and row versions of every source table. */
  source: Record<string, string>;
  /** The last run that was done, and how many there were. */
  lastRun: number | null;
  runs: number;
  full: boolean;
}

/** The plan that was approved is not what `up` would do now. */
export class PlanOutdated extends Error {
  override readonly name = 'PlanOutdated';
  constructor(moved: string[]) {
    super(
      'the plan is no longer what `up` would do; no row was changed\n' +
        `${moved.map((line) => `  ${line}`).join('\n')}\n` +
        'make a new one: runner plan --out <file>',
    );
  }
}

/** What a plan made in this transaction stands on; the sums of the source have been taken. */
export async function readBasis(
  session: Session,
  { root, catalog, full }: { root: string; catalog: Catalog; full: boolean },
): Promise<PlanBasis> {
  const [row] = await session.query<{ basis: Pick<PlanBasis, 'source' | 'lastRun' | 'runs'> }>(
    'select migration.plan_basis() as basis',
  );
  const { source = {}, lastRun = null, runs = 0 } = row?.basis ?? {};
  return { files: filesOf(root, catalog), source, lastRun, runs, full };
}

/** The basis of a plan that `plan --out` wrote. Throws where the file is none. */
export function readPlanFile(file: string): PlanBasis {
  const { basis } = JSON.parse(readFileSync(file, 'utf8')) as { basis?: PlanBasis };
  if (basis?.files === undefined || basis.source === undefined) {
    throw new Error(`${file} is no plan; runner plan --out <file> writes one`);
  }
  return basis;
}

/** Throws PlanOutdated where files have changed since; nothing of the databases is looked at. */
export function refuseOtherFiles(plan: PlanBasis, root: string, catalog: Catalog): void {
  const moved = differing('file', plan.files, filesOf(root, catalog));
  if (moved.length > 0) throw new PlanOutdated(moved);
}

/** Throws PlanOutdated where source or ledger have moved on since; the sums have been taken. */
export async function refuseOtherRows(session: Session, plan: PlanBasis): Promise<void> {
  const [row] = await session.query<{ basis: Pick<PlanBasis, 'source' | 'lastRun'> }>(
    'select migration.plan_basis() as basis',
  );
  const now = row?.basis;
  const moved = differing('source table', plan.source, now?.source ?? {});
  if ((now?.lastRun ?? null) !== plan.lastRun) {
    moved.unshift(
      `run ${now?.lastRun ?? 'none'} was done since, the plan follows run ${plan.lastRun ?? 'none'}`,
    );
  }
  if (moved.length > 0) throw new PlanOutdated(moved);
}

/** Lines of a message that names what is not the same; more than these are counted. */
const NAMED = 10;

function differing(
  what: string,
  then: Record<string, string>,
  now: Record<string, string>,
): string[] {
  const names = [...new Set([...Object.keys(then), ...Object.keys(now)])].toSorted();
  const lines = names.flatMap((name) => {
    if (then[name] === now[name]) return [];
    const how =
      then[name] === undefined ? 'is new' : now[name] === undefined ? 'is gone' : 'has changed';
    return [`${what} ${name} ${how}`];
  });
  const rest = lines.splice(NAMED);
  return rest.length === 0 ? lines : [...lines, `and ${rest.length} more`];
}

function filesOf(root: string, catalog: Catalog): Record<string, string> {
  const { phases, setup, templates, upgrades, archive } = catalog;
  const all = [
    ...phases.flatMap((phase) => phase.entities),
    ...setup,
    ...templates,
    ...upgrades,
    ...archive,
  ];
  const folder = join(root, 'schema-changes', 'additive');
  const changes = (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => name.endsWith('.sql'))
    .map((name) => [
      `schema-changes/additive/${name}`,
      hashOf(readFileSync(join(folder, name), 'utf8')),
    ]);
  return Object.fromEntries([
    ...all.map(({ file, hash }) => [file, hash] as const),
    ['sql/settings.json', hashOf(JSON.stringify(catalog.settings))],
    ...changes,
  ]) as Record<string, string>;
}
