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
import { PreflightFailed, runUp, type UpOptions } from '../engine/run.ts';
import { applyInChild } from '../schema/child.ts';
import { pendingChanges, previewChanges } from '../schema/pending.ts';
import { readSummary, type Summary, summaryJson } from '../engine/summary.ts';
import { complain, note, problems, progressOf, say, sayJson } from '../terminal/terminal.ts';
import { connectionOf } from './schema.ts';
import { showSummary } from './status.ts';

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
    all: { text: 'every problem, also where there are many of one cause' },
    plan: {
      text: 'what was approved (`plan --out file`): stop where it is no longer what `up` would do',
      value: 'file',
    },
    yes: { text: 'remove rows even if more than 5 % of an entity are gone' },
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
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
  return migrate(context, {
    phases: phases.filter((phase) => wanted.length === 0 || wanted.includes(phase)),
    archive: wanted.length === 0 || wanted.includes('archive'),
    retry: false,
    ...(approved === undefined ? {} : { approve: (session) => refuseOtherRows(session, approved) }),
  });
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
export async function migrate(
  context: Context,
  what: Pick<UpOptions, 'phases' | 'approve'> & { archive: boolean; retry: boolean },
): Promise<number> {
  const config = await context.config();
  const dryRun = context.has('dry-run');
  let code = 0;
  let would: Summary | undefined;
  try {
    await runUp({
      ...what,
      root: context.root,
      config,
      catalog: context.catalog(),
      dryRun,
      full: context.has('full'),
      jobs: jobsOf(context.value('jobs'), config.jobs),
      policy: policyOf(context.value('on-conflict')),
      removeMany: context.has('yes'),
      clearSecrets: context.has('clear-leaked-hashes'),
      applySchema: (session) => applySchema(context, session),
      previewSchema: (session) => previewChanges(session, context.root),
      report: progressOf(),
      remark: note,
      conclude: async (session, run) => {
        if (dryRun) {
          would = await readSummary(session, context.catalog(), run);
          return;
        }
        code = await showAfter(
          context,
          `run ${run} is done; \`runner status\` shows what became of it`,
          async () => show(context, await readSummary(session, context.catalog(), run), 0),
        );
      },
      interrupt: context.interrupt,
    });
  } catch (error) {
    return failed(context, error);
  }
  if (dryRun) {
    if (would !== undefined && context.has('json'))
      sayJson({ ...summaryJson(would), dryRun: true });
    else say('dry run: everything above was rolled back, nothing is changed');
    return 0;
  }
  return code;
}

/** Applies what is pending. */
async function applySchema(context: Context, session: Session): Promise<string[]> {
  const { target } = await context.config();
  if (!(await pendingChanges(session, context.root, 'additive'))) return [];
  return applyInChild({ connection: connectionOf(target), root: context.root });
}

async function failed(context: Context, error: unknown): Promise<number> {
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
  complain(`${message}\n${fix}`);
  if (context.has('json')) {
    // what failed is said, also where nothing else can be
    const summary = await summaryNow(context).catch(() => undefined);
    sayJson({ ...errorLine(error, ''), message, fix, ...(summary && summaryJson(summary)) });
  }
  return exitCodeOf(error);
}

/** What is there now; undefined before the first run. */
async function summaryNow(context: Context): Promise<Summary | undefined> {
  const session = await context.session('runner status');
  return consult(session, context.catalog(), () => readSummary(session, context.catalog()));
}

function show(context: Context, summary: Summary, code: number): number {
  if (context.has('json')) sayJson(summaryJson(summary));
  else showSummary(summary);
  return code;
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
