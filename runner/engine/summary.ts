import type { Catalog } from './catalog.ts';
import type { Session } from '../database.ts';
import { type Stray, strayQuery } from './strays.ts';

/** One line of `status` and of the end of `up`; null where the entity was never complete. */
export interface EntitySummary {
  entity: string;
  phase: string;
  target: string;
  status: 'new' | 'partial' | 'complete' | 'failed';
  source: number | null;
  inserted: number | null;
  updated: number | null;
  unchanged: number | null;
  kept: number | null;
  rejected: number | null;
  filtered: number | null;
  /** Rows read from the source. */
  read: number | null;
  balanced: boolean | null;
  seconds: number | null;
  /** Mapped keys that are gone from the source and still in the target. */
  gone: number;
  /** The file is not the one that ran last. */
  changed: boolean;
  error: string | null;
}

/** What is true now. */
export interface Summary {
  verdict: string;
  ok: boolean;
  strays: Stray[];
  phases: { phase: string; status: 'new' | 'partial' | 'complete' | 'failed' }[];
  entities: EntitySummary[];
  rejects: { entity: string; reason: string; count: number }[];
  /** What checks that warn said of the whole when a good part of it was read last: rows, and what they are. */
  findings: { check: string; rows: number; says: string }[];
  /** Share of rows that are in the target, of all that are not filtered; null before the first. */
  success: number | null;
  lastRun: {
    run: number;
    command: string;
    status: string;
    started: string;
    seconds: number;
  } | null;
}

/** What `migration.summary` says of the ledger. */
interface Known {
  entities: (Omit<EntitySummary, 'phase' | 'target' | 'changed'> & { file_hash: string | null })[];
  rejects: Summary['rejects'];
  findings: Summary['findings'];
  lastRun: Summary['lastRun'];
}

/** Reads the ledger; with a run, the counts of that run only. */
export async function readSummary(
  session: Session,
  catalog: Catalog,
  run?: number,
): Promise<Summary> {
  const rows = await session.batch([
    `select migration.summary(${run ?? 'null'}) as summary`,
    ...strayQuery(catalog),
  ]);
  const [row, ...strays] = rows as [{ summary: Known } | undefined, ...Stray[]];
  if (row === undefined) throw new Error('the target answered without a summary');
  const { entities: known, rejects, findings, lastRun } = row.summary;
  const byName = new Map(known.map((each) => [each.entity, each]));
  const entities: EntitySummary[] = [];
  const phasesOf = [...catalog.phases, { name: 'archive', entities: catalog.archive }].filter(
    (phase) => phase.entities.length > 0,
  );
  for (const { name: phase, entities: inPhase } of phasesOf) {
    for (const entity of inPhase) {
      const { file_hash: fileHash = null, ...counts } = byName.get(entity.name) ?? {};
      entities.push({
        ...EMPTY,
        ...counts,
        entity: entity.name,
        phase,
        target: `${entity.target.schema}.${entity.target.table}`,
        changed: fileHash !== null && fileHash !== entity.hash,
      });
    }
  }
  const phases = phasesOf.map(({ name }) => ({
    phase: name,
    status: statusOf(entities.filter(({ phase }) => phase === name)),
  }));
  const done = entities.filter(({ source }) => source !== null);
  const rowsOf = (key: 'source' | 'rejected' | 'filtered') =>
    done.reduce((sum, entity) => sum + (entity[key] ?? 0), 0);
  const wanted = rowsOf('source') - rowsOf('filtered');
  const success = done.length === 0 ? null : wanted === 0 ? 1 : 1 - rowsOf('rejected') / wanted;
  const ok = strays.length === 0 && phases.every(({ status }) => status === 'complete');
  return {
    verdict:
      strays.length > 0
        ? 'The files are not those of what is migrated: `up` refuses until that is settled.'
        : verdictOf(phases, entities, findings, lastRun),
    ok,
    strays,
    phases,
    entities,
    rejects,
    findings,
    success,
    lastRun,
  };
}

/** The object DESIGN promises for `status --json` and the last line of `up --json`. */
export function summaryJson(summary: Summary): object {
  return {
    verdict: summary.verdict,
    phases: summary.phases,
    entities: summary.entities,
    rejects: summary.rejects,
    findings: summary.findings,
    success: summary.success,
    lastRun: summary.lastRun,
  };
}

/** The same before the first run. */
export const NOTHING_YET = {
  verdict: 'Nothing is migrated yet.',
  phases: [],
  entities: [],
  rejects: [],
};

const EMPTY: Omit<EntitySummary, 'entity' | 'phase' | 'target' | 'changed'> = {
  status: 'new',
  source: null,
  inserted: null,
  updated: null,
  unchanged: null,
  kept: null,
  rejected: null,
  filtered: null,
  read: null,
  balanced: null,
  seconds: null,
  gone: 0,
  error: null,
};

function statusOf(entities: EntitySummary[]): EntitySummary['status'] {
  const has = (status: EntitySummary['status']) => entities.some((e) => e.status === status);
  if (has('failed')) return 'failed';
  if (entities.every(({ status }) => status === 'complete')) return 'complete';
  return entities.every(({ status }) => status === 'new') ? 'new' : 'partial';
}

function verdictOf(
  phases: Summary['phases'],
  entities: EntitySummary[],
  findings: Summary['findings'],
  lastRun: Summary['lastRun'],
): string {
  const named = (status: string) =>
    phases.filter((phase) => phase.status === status).map(({ phase }) => phase);
  if (lastRun?.status === 'running') return `Run ${lastRun.run} is at work.`;
  const failed = entities.filter(({ status }) => status === 'failed');
  if (failed.length > 0) {
    return `Failed in ${failed.map(({ entity }) => entity).join(', ')}: correct the cause and run \`up\` again.`;
  }
  const complete = named('complete');
  if (complete.length === 0 && named('partial').length === 0) return 'Nothing is migrated yet.';
  const open = [...named('partial'), ...named('new')].toSorted();
  if (open.length > 0) {
    return `${complete.length} of ${phases.length} phases are complete; \`up\` goes on with ${open[0]}.`;
  }
  const gone = entities.reduce((sum, entity) => sum + entity.gone, 0);
  const changed = entities.filter((entity) => entity.changed).length;
  return (
    `All ${phases.length} phases are complete and balanced` +
    (gone === 0 ? '' : `; ${gone} rows are gone from the source and kept`) +
    findings.map(({ check, rows, says }) => `; ${rows} ${says} (\`check ${check}\`)`).join('') +
    (changed === 0 ? '.' : `; ${changed} files changed since, \`up\` applies them.`)
  );
}
