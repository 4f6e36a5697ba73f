import { phaseOf } from '../engine/catalog.ts';
import { type Command, type Context, UsageError } from './command.ts';
import { showAfter } from './context.ts';
import type { ConflictPolicy } from '../engine/render.ts';
import type { Session } from '../database.ts';
import { errorLine, exitCodeOf } from './outcome.ts';
import { consult } from '../engine/ledger.ts';
import { PhaseFailed } from '../engine/phase.ts';
import {
  type PlanBasis,
  readPlanFile,
  refuseOtherFiles,
  refuseOtherRows,
} from '../engine/plan-file.ts';
import { Interrupted, PreflightFailed, runUp, type UpOptions } from '../engine/run.ts';
import { applyInChild } from '../schema/child.ts';
import { pendingChanges, previewChanges } from '../schema/pending.ts';
import { type EntitySummary, readSummary, type Summary, summaryJson } from '../engine/summary.ts';
import { type Told, runScreen } from '../terminal/run-screen.ts';
import { nextOf, showEntities, showOpen, showPhases } from '../terminal/summary-screen.ts';
import { complain, noteWrapped, problems, say, sayWrapped, words } from '../terminal/terminal.ts';
import { counted, duration } from '../terminal/text.ts';
import { connectionOf } from './schema.ts';
import { failureOfRun, LOG, recorded, type Recorder } from './record.ts';

export const up: Command = {
  options: {
    'dry-run': { text: 'do everything, then roll it back' },
    full: { text: 'compare every row, whatever the row versions say' },
    jobs: { text: 'workers where ranges are committed one by one (1 to 8)', value: 'n' },
    'on-conflict': {
      text: 'where both sides changed a row: source (default) or target wins',
      value: 'side',
    },
    'clear-leaked-hashes': {
      text: 'clear password hashes of the source that stand in tables of the application',
    },
    plan: {
      text: 'what was approved (`plan --out file`): stop where it is no longer what `up` would do',
      value: 'file',
    },
    yes: { text: 'remove rows even if more than 5 % of an entity are gone' },
    entities: { text: 'at the end, a line per entity that has something to tell' },
    all: { text: 'every problem; with --entities, all of them' },
    log: LOG,
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  return migrate(context, whatOf(context));
}

/** What a run is to do with which phases. */
type What = Pick<UpOptions, 'phases' | 'approve'> & { archive: boolean; retry: boolean };

/** The phases that the words of a call name, and the plan it was approved by. Throws UsageError. */
export function whatOf(context: Context): What {
  const { phases } = context.catalog();
  const approved = approvedPlan(context);
  const wanted = context.positionals.map((word) => {
    if (word === 'archive') return word;
    const phase = phaseOf(phases, word);
    if (phase === undefined) {
      const names = phases.map(({ name }) => name).join(', ');
      throw new UsageError(`there is no phase ${word}; the phases are ${names}, archive`);
    }
    return phase;
  });
  return {
    phases: phases.filter((phase) => wanted.length === 0 || wanted.includes(phase)),
    archive: wanted.length === 0 || wanted.includes('archive'),
    retry: false,
    ...(approved === undefined ? {} : { approve: (session) => refuseOtherRows(session, approved) }),
  };
}

/** The plan that was approved, where one is given; throws PlanOutdated if the files are others. */
function approvedPlan(context: Context): PlanBasis | undefined {
  const file = context.value('plan');
  if (file === undefined) return undefined;
  const approved = readPlanFile(file);
  if (context.positionals.length > 0) throw new UsageError('a plan is for all phases: name none');
  if (approved.full !== context.has('full')) {
    throw new UsageError(`the plan was made ${approved.full ? 'with' : 'without'} --full`);
  }
  refuseOtherFiles(approved, context.root, context.catalog());
  return approved;
}

/** What `up` and `retry` share: the run, its failures, and what is shown at the end. */
export function migrate(context: Context, what: What): Promise<number> {
  const command = what.retry ? 'retry' : context.has('dry-run') ? 'up --dry-run' : 'up';
  return recorded(context, command, (recorder) => runAndShow(context, what, recorder), {
    tells: true,
  });
}

/** A run as the options of a call say it; what it tells is not among them. */
export async function runOf(
  context: Context,
  what: What,
): Promise<Omit<UpOptions, 'report' | 'remark' | 'conclude'>> {
  const config = await context.config();
  return {
    ...what,
    root: context.root,
    config,
    catalog: context.catalog(),
    dryRun: context.has('dry-run'),
    full: context.has('full'),
    jobs: jobsOf(context.value('jobs'), config.jobs),
    policy: policyOf(context.value('on-conflict')),
    removeMany: context.has('yes'),
    clearSecrets: context.has('clear-leaked-hashes'),
    applySchema: (session) => applySchema(context, session),
    previewSchema: (session) => previewChanges(session, context.root),
    interrupt: context.interrupt,
  };
}

async function runAndShow(context: Context, what: What, recorder: Recorder): Promise<number> {
  const run = await runOf(context, what);
  const screen = runScreen();
  let code = 0;
  try {
    await runUp({
      ...run,
      report: (event) => {
        screen.hear(event);
        recorder.report(event);
      },
      remark: (line, check) => screen.remark(line, check),
      conclude: async (session, number) => {
        screen.end();
        const truth = `run ${number} is done; \`runner status\` shows what became of it`;
        code = await showAfter(context, truth, () =>
          show(context, session, number, screen.told, recorder),
        );
      },
    });
  } catch (error) {
    screen.end();
    recorder.failure = failureOfRun(error);
    return failed(context, error, screen.told, recorder);
  } finally {
    screen.end();
  }
  return code;
}

/** Applies what is pending. */
async function applySchema(context: Context, session: Session): Promise<string[]> {
  const { target } = await context.config();
  if (!(await pendingChanges(session, context.root, 'additive'))) return [];
  return applyInChild({ connection: connectionOf(target), root: context.root });
}

async function failed(
  context: Context,
  error: unknown,
  told: Told,
  recorder: Recorder,
): Promise<number> {
  if (error instanceof Interrupted) throw new Interrupted(interruption(told), { cause: error });
  if (error instanceof PreflightFailed) {
    const { problems: found } = error;
    const files = new Map(
      context
        .catalog()
        .phases.flatMap(({ entities }) => entities.map(({ file, text }) => [file, text] as const)),
    );
    problems(found, (file) => files.get(file), context.has('all'));
    throw error;
  }
  if (!(error instanceof PhaseFailed)) throw error;
  const message = `phase ${error.phase} failed: ${error.message}`;
  const fix = error.committed
    ? `ranges committed before stay; the phase is not complete and later phases did not start; ` +
      'correct the cause and run `up` again, it goes on from there' +
      // a data check, not an entity: what is wrong is stored, and its source has not changed
      (error.entity === undefined
        ? `; rows that are stored wrong stay so until \`down ${error.phase}\` and \`up\` ` +
          'write them anew'
        : '')
    : 'the phase is rolled back, nothing that this run did in it is in the target; correct the ' +
      'cause and run `up` again';
  complain(message);
  if (!told.dryRun && told.committed.length > 0) noteWrapped(committedBy(told));
  noteWrapped(fix);
  if (context.has('json')) {
    // what failed is said, also where nothing else can be
    const summary = await summaryNow(context).catch(() => undefined);
    recorder.last = { ...errorLine(error, ''), message, fix, ...(summary && summaryJson(summary)) };
  }
  return exitCodeOf(error);
}

/** What is there now; undefined before the first run. */
async function summaryNow(context: Context): Promise<Summary | undefined> {
  const session = await context.session('runner status');
  return consult(session, context.catalog(), () => readSummary(session, context.catalog()));
}

/** What is true after Ctrl-C. */
function interruption(told: Told): string {
  if (told.dryRun) return 'interrupted: the dry run is rolled back, nothing is changed';
  const { phase } = told;
  const on = phase === undefined ? '`up` goes on from there' : `\`up\` goes on with ${phase}`;
  return `interrupted; what was not committed is rolled back\n${committedBy(told)}; ${on}`;
}

/** What a run that stopped has committed. */
function committedBy({ committed, stays, phase }: Told): string {
  const phases = committed.length === 0 ? 'no phase' : committed.join(', ');
  const ranges =
    stays && phase !== undefined ? `; ranges of ${phase} that were committed stay` : '';
  return `committed by this run: ${phases}${ranges}`;
}

/** The end of a run that came to its end. */
async function show(
  context: Context,
  session: Session,
  run: number,
  told: Told,
  recorder: Recorder,
): Promise<number> {
  const catalog = context.catalog();
  if (context.has('json')) {
    const summary = summaryJson(await readSummary(session, catalog, { run, ended: run }));
    recorder.last = told.dryRun ? { ...summary, dryRun: true } : summary;
    return 0;
  }
  const summary = await readSummary(session, catalog, { ended: run });
  const { verdict } = summary;
  if (told.phases.size === 0) {
    const rows = counted(told.sourceRows, 'source row');
    say(`nothing to do: ${rows}, none of them new or changed  ${duration(told.seconds())}`);
  } else {
    showPhases(summary, told);
    if (context.has('entities')) showEntities(ofThisRun(summary, told), context.has('all'));
    say();
    showOpen(summary);
  }
  sayWrapped(verdict, summary.ok ? words.good : words.strong);
  if (told.dryRun) say('dry run: everything above was rolled back, nothing is changed');
  else if (told.phases.size > 0) say(words.dim(`next: ${nextOf(summary)}`));
  return 0;
}

/** Every entity with the counts of this run; those it did not call are as they were. */
function ofThisRun({ entities }: Summary, { entities: done }: Told): EntitySummary[] {
  return entities.map((entity) => {
    const counts = done.get(entity.entity);
    if (counts !== undefined) return { ...entity, ...counts };
    const { inserted, updated, unchanged, kept } = entity;
    const same = (inserted ?? 0) + (updated ?? 0) + (unchanged ?? 0) + (kept ?? 0);
    return { ...entity, inserted: 0, updated: 0, kept: 0, unchanged: same, rejected: 0, gone: 0 };
  });
}

function jobsOf(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const jobs = Number(text);
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > 8) {
    throw new UsageError('--jobs takes a number from 1 to 8');
  }
  return jobs;
}

function policyOf(text: string | undefined): ConflictPolicy {
  if (text === undefined || text === 'source' || text === 'target') return text ?? 'source';
  throw new UsageError('--on-conflict takes source or target');
}
