/*
 * The runner for programs: what the commands do, without a command line. Nothing is printed, nothing is read
 * but the project and its settings. What goes wrong is thrown, as an error whose message says what is true now;
 * its `name` tells the kinds apart, as the exit codes of the commands do.
 */
import type { Command, Context } from './commands/command.ts';
import { contextOf } from './commands/context.ts';
import { endOf } from './commands/outcome.ts';
import type { Happening } from './engine/events.ts';
import type { Plan } from './engine/plan.ts';
import { type Interrupt, runUp } from './engine/run.ts';
import { readSummary, type Summary } from './engine/summary.ts';
import type { Verification } from './commands/verify.ts';
import type { Facts } from './report/facts.ts';

export type { Facts, Happening, Plan, Summary, Verification };

/** What every call takes. */
export interface Place {
  /** The project directory; default: the current one. */
  project?: string;
  /** URLs of the databases, `postgresql://user:password@host:5432/database`; default: as configured. */
  source?: string;
  target?: string;
  /** The file of settings; default: `.env` of the project. The environment wins over it. */
  envFile?: string;
  /** Two servers with the project's sample instead of databases. */
  embedded?: boolean;
  /** Stops the work as Ctrl-C does: what is not committed is rolled back, the call throws `Interrupted`. */
  signal?: AbortSignal;
  /** Takes what a person should know besides the result. */
  onNote?: (line: string) => void;
}

/** What `up` takes besides. */
export interface UpCall extends Place {
  /** Names or numbers of phases, or `archive`; default: all. */
  phases?: string[];
  dryRun?: boolean;
  full?: boolean;
  /** 1 to 8. */
  jobs?: number;
  onConflict?: 'source' | 'target';
  clearLeakedHashes?: boolean;
  /** A file of `plan --out`: throws `PlanOutdated` where it is not what would be done. */
  plan?: string;
  /** Remove rows even if more than 5 % of an entity are gone. */
  yes?: boolean;
  onEvent?: (event: Happening) => void;
}

/** Migrates; returns what is true when the run has ended, with the counts of this run. */
export function up(call: UpCall = {}): Promise<Summary> {
  const { phases, onEvent = () => {}, onNote = () => {} } = call;
  return within(call, phases, async (context) => {
    const { runOf, whatOf } = await import('./commands/up.ts');
    const catalog = context.catalog();
    let summary: Summary | undefined;
    await runUp({
      ...(await runOf(context, whatOf(context))),
      report: onEvent,
      remark: onNote,
      conclude: async (session, run) => {
        summary = await readSummary(session, catalog, { run, ended: run });
      },
    });
    if (summary === undefined) throw new Error('the run has ended without a summary');
    return summary;
  });
}

/** What `up` would do, read and rolled back; `exact` reads all that `up` would read. */
export function plan(call: Place & { full?: boolean; exact?: boolean } = {}): Promise<Plan> {
  return within(call, [], async (context) =>
    (await import('./commands/plan.ts')).forecast(context),
  );
}

/** What the ledger says; undefined before the first run. */
export function status(call: Place = {}): Promise<Summary | undefined> {
  return within(call, [], async (context) => {
    const { readStatus } = await import('./commands/status.ts');
    return readStatus(context, await context.session('runner status'));
  });
}

/**
 * Compares every row of every view, or of these entities, with the target; rows hold values only with
 * `showData`.
 */
export function verify(
  call: Place & { entities?: string[]; showData?: boolean } = {},
): Promise<Verification> {
  return within(call, call.entities, async (context) =>
    (await import('./commands/verify.ts')).compareRows(context),
  );
}

/** The facts of a report: keys and counts, and totals of amounts; no other values. */
export function report(call: Place = {}): Promise<Facts> {
  return within(call, [], async (context) => {
    const { gather } = await import('./commands/report.ts');
    return (await gather(context)).facts;
  });
}

/** What the command line calls them. */
const OPTIONS: Record<string, string> = {
  project: 'project',
  envFile: 'env-file',
  embedded: 'embedded',
  dryRun: 'dry-run',
  full: 'full',
  exact: 'exact',
  jobs: 'jobs',
  onConflict: 'on-conflict',
  clearLeakedHashes: 'clear-leaked-hashes',
  plan: 'plan',
  yes: 'yes',
  showData: 'show-data',
};

/** Does a piece of work as a command would, with the surroundings it opens, and closes them. */
async function within<Result>(
  call: Place,
  positionals: string[] = [],
  work: (context: Context) => Promise<Result>,
): Promise<Result> {
  const values = new Map<string, string | true>();
  // what is no text, number or switch has no name there
  type Value = string | number | boolean | undefined;
  for (const [key, value] of Object.entries(call) as [string, Value][]) {
    const option = OPTIONS[key];
    if (option === undefined || value === undefined || value === false) continue;
    values.set(option, value === true ? true : String(value));
  }
  const interrupt: Interrupt = { requested: false, cancel: () => {} };
  const stop = (): void => {
    interrupt.requested = true;
    interrupt.cancel();
  };
  const command: Pick<Command, 'anywhere'> = {};
  const context = contextOf({ command, positionals, values }, interrupt, {
    urls: { source: call.source, target: call.target },
    note: call.onNote ?? (() => {}),
  });
  if (call.signal?.aborted === true) stop();
  call.signal?.addEventListener('abort', stop);
  try {
    return await work(context);
  } catch (error) {
    throw endOf(error, interrupt.requested);
  } finally {
    call.signal?.removeEventListener('abort', stop);
    await context.end();
  }
}
