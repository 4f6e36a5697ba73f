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
  phases: { phase: string; status: EntitySummary['status'] }[];
  entities: EntitySummary[];
  rejects: { entity: string; reason: string; count: number }[];
  /** What checks that warn said of the whole when a good part of it was read last: rows, and what they are. */
  findings: { check: string; rows: number; says: string }[];
  /** Rows that both sides had changed, by the side that won. */
  conflicts: { resolution: 'source' | 'target'; count: number }[];
  /** Source rows as the last plan found them, and those of them that are committed. */
  howFar: { total: number; settled: number; rejected: number };
  lastRun: LastRun | null;
  atWork: AtWork | undefined;
  /** The last run is not at its end, and nobody is at work on it. */
  died: boolean;
  database: string;
  runs: number;
}

/** The last run that has begun; times as the target prints them. */
export interface LastRun {
  run: number;
  command: string;
  status: 'running' | 'done' | 'failed' | 'interrupted';
  started: string;
  seconds: number;
  /** `user@host` and process of the runner; null of runs of older releases. */
  by: string | null;
  pid: number | null;
  /** The last time at which it committed anything. */
  seen: string;
}

/** Who holds the lock of the one runner, by the name of its session (`nameOf`). */
export interface AtWork {
  /** undefined: a run that has no number yet, a dry run, or a command that is no run. */
  run: number | undefined;
  command: string;
  since: string;
  phase: string | undefined;
  entity: string | undefined;
  /** Per cent of the rows of this run; seconds that are left; rows of the entity. */
  percent: number | undefined;
  left: number | undefined;
  rows: { done: number; total: number } | undefined;
}

/** What `migration.summary` says of the ledger. */
interface Known extends Pick<
  Summary,
  'rejects' | 'findings' | 'conflicts' | 'howFar' | 'lastRun' | 'database' | 'runs'
> {
  entities: (Omit<EntitySummary, 'phase' | 'target' | 'changed'> & { file_hash: string | null })[];
  atWork: { name: string; since: string } | null;
  sessionsLeft: number;
}

/**
 * Reads the ledger. `run`: the counts of that run only. `ended`: a run reads it itself, which has ended
 * and still holds the lock; the conflicts are those of that run.
 */
export async function readSummary(
  session: Session,
  catalog: Catalog,
  { run, ended }: { run?: number; ended?: number } = {},
): Promise<Summary> {
  const rows = await session.batch([
    `select migration.summary(${run ?? 'null'}, ${ended ?? 'null'}) as summary`,
    ...strayQuery(catalog),
  ]);
  const [row, ...strays] = rows as [{ summary: Known } | undefined, ...Stray[]];
  if (row === undefined) throw new Error('the target answered without a summary');
  const { entities: known, atWork: holder, sessionsLeft, ...told } = row.summary;
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
  const atWork = holder === null ? undefined : atWorkOf(holder, told.lastRun);
  const died = told.lastRun?.status === 'running' && atWork?.run === undefined;
  const ok = strays.length === 0 && phases.every(({ status }) => status === 'complete');
  const now = ended !== undefined;
  const { lastRun, findings } = told;
  const state = { phases, entities, findings, lastRun, atWork, died, sessionsLeft, now };
  return {
    ...told,
    verdict:
      strays.length > 0
        ? 'The files are not those of what is migrated: `up` refuses until that is settled.'
        : verdictOf(state),
    ok: ok && !died,
    strays,
    phases,
    entities,
    atWork,
    died,
  };
}

/** The object DESIGN promises for `status --json` and the last line of `up --json`. */
export function summaryJson(summary: Summary): object {
  const { verdict, phases, entities, rejects, findings, conflicts, howFar, lastRun, died } =
    summary;
  const atWork = summary.atWork ?? null;
  return {
    verdict,
    phases,
    entities,
    rejects,
    findings,
    conflicts,
    howFar,
    lastRun,
    atWork,
    died,
  };
}

const NAME =
  /^runner (?<command>\w+(?: --[\w-]+)?)(?: (?<phase>[^/\s]+)(?:\/(?<entity>\S+))? (?<percent>\d+)pct(?: eta (?<left>\d+)s)?(?: (?<done>\d+)\/(?<total>\d+))?)?$/;

/** What the name of the session says; the keeper of a run has connected before the run began. */
function atWorkOf(holder: { name: string; since: string }, lastRun: LastRun | null): AtWork {
  const { command, phase, entity, percent, left, done, total } =
    NAME.exec(holder.name)?.groups ?? {};
  const its = lastRun?.status === 'running' && new Date(holder.since) <= new Date(lastRun.started);
  const whole = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  return {
    run: its ? lastRun.run : undefined,
    command: its ? lastRun.command : (command ?? 'keeper'),
    since: its ? lastRun.started : holder.since,
    phase,
    entity,
    percent: whole(percent),
    left: whole(left),
    rows: done === undefined ? undefined : { done: Number(done), total: Number(total) },
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
  state: Pick<Summary, 'phases' | 'entities' | 'findings' | 'lastRun' | 'atWork' | 'died'> & {
    sessionsLeft: number;
    /** Said by the run itself, at its end. */
    now: boolean;
  },
): string {
  const { lastRun, atWork, died, sessionsLeft, now, phases } = state;
  if (atWork !== undefined && !now) return atWorkVerdict(atWork);
  const seen = now ? 'every source row' : `every source row that run ${lastRun?.run ?? 0} saw`;
  const standing = standingOf(state, seen);
  if (!died || lastRun === null) return standing;
  const open = phases.find(({ status }) => status !== 'complete')?.phase;
  const where = open === undefined ? '' : `, before ${open} was complete`;
  const rest =
    sessionsLeft > 0
      ? 'the server is still ending its last statement'
      : 'what it had not committed is rolled back';
  return `Run ${lastRun.run} (${lastRun.command}) died after ${clock(lastRun.seen)}${where}; ${rest}. ${standing}`;
}

function atWorkVerdict({ run, command, phase, entity, rows }: AtWork): string {
  const what =
    run !== undefined
      ? `Run ${run} (${command})`
      : command === 'keeper'
        ? 'A runner'
        : `A runner (${command})`;
  const count =
    rows === undefined
      ? ''
      : ` ${rows.done.toLocaleString('en-US')} of ${rows.total.toLocaleString('en-US')}`;
  const place =
    phase === undefined ? '' : `: ${phase}${entity === undefined ? '' : `, ${entity}${count}`}`;
  return `${what} is at work${place}.`;
}

/** Time of day here, with the day where it is another: `03:13:20`. */
export function clock(time: string): string {
  const date = new Date(time);
  const [day, hour] = [date.toLocaleDateString('sv'), date.toLocaleTimeString('sv')];
  return day === new Date().toLocaleDateString('sv') ? hour : `${day} ${hour}`;
}

function standingOf(
  { phases, entities, findings }: Pick<Summary, 'phases' | 'entities' | 'findings'>,
  seen: string,
): string {
  const named = (status: string) =>
    phases.filter((phase) => phase.status === status).map(({ phase }) => phase);
  const failed = entities.filter(({ status }) => status === 'failed');
  if (failed.length > 0) {
    return `Failed in ${failed.map(({ entity }) => entity).join(', ')}: correct the cause and run \`up\` again.`;
  }
  const complete = named('complete');
  if (complete.length === 0 && named('partial').length === 0) return 'Nothing is migrated yet.';
  const open = phases.find(({ status }) => status !== 'complete');
  if (open !== undefined) {
    return `${complete.length} of ${phases.length} phases are complete; \`up\` goes on with ${open.phase}.`;
  }
  const gone = entities.reduce((sum, entity) => sum + entity.gone, 0);
  const changed = entities.filter((entity) => entity.changed).length;
  const but = [
    gone === 0 ? '' : `; ${gone.toLocaleString('en-US')} rows are gone from the source and kept`,
    changed === 0 ? '' : `; ${changed} files changed since, \`up\` applies them`,
  ].join('');
  const all = phases.length === 1 ? 'The one phase is' : `All ${phases.length} phases are`;
  return (
    `${all} complete and balanced` +
    (but === '' ? `: ${seen} is accounted for.` : `${but}.`) +
    findings
      .map(
        ({ check, rows, says }) => ` ${rows.toLocaleString('en-US')} ${says} (\`check ${check}\`).`,
      )
      .join('')
  );
}
