import type { Happening } from './events.ts';
import {
  type Check,
  checkDone,
  type CheckResult,
  type Entering,
  isWrittenRight,
  runChecks,
  runChecksInTwo,
} from './checks.ts';
import { mayRetry, type Session, transaction } from '../database.ts';
import type { Counts } from './ledger.ts';
import { AWAIT_LINK, BESIDE } from './link.ts';
import { literal } from '../quote.ts';
import type { Helped } from './two.ts';

/* When the data checks of a phase run inside `up`, and what their findings mean. */

/** Share of the source rows of a phase that must have been read for its data checks to run. */
const CHECKED_SHARE = 0.2;

/** A law of the engine does not hold: balance, limits, caps. Never a data error of one row. */
export class LawBroken extends Error {
  override readonly name = 'LawBroken';
}

/** What they need to know of the run. */
export interface Checking {
  /** Data checks of severity error. */
  checks: Check[];
  /** The phase of every entity and archive table. */
  defined: Record<string, string>;
  remark: (line: string) => void;
  /** Stops the statements that run, in all sessions. */
  cancel: () => void;
  report: (event: Happening) => void;
}

/** What data checks look at: a phase, or the archive. */
export interface Checked {
  name: string;
  entities: readonly { name: string; file: string }[];
}

/**
 * The data checks, of a phase of which a good part was read: the first time, after a change of its
 * files or look-ups, with --full, after a failure. Of a small increment the rows that were written are
 * compared with their source; only if that finds anything all checks run, which would cost more than
 * the run (`runner check` runs them at any time). Where the application changed rows since, findings that this
 * may explain are remarks: only `verify` can tell its rows from ours. Throws LawBroken otherwise.
 * All entities of the phase are written, and the link of the caller's transaction is closed. `second`: a
 * session that may look at the same time, where what was written is committed.
 */
export async function checkPhase(
  context: Checking,
  session: Session,
  phase: Checked,
  done: { counts?: Counts }[],
  unproven: boolean,
  second?: Session,
): Promise<void> {
  const total = (key: 'source' | 'read') =>
    done.reduce((sum, { counts }) => sum + (counts?.[key] ?? 0), 0);
  const much = total('read') > 0 && total('read') >= CHECKED_SHARE * total('source');
  const helped = second === undefined ? undefined : helping(context, second, phase.name);
  const { checks, defined } = context;
  if (!much && !unproven && (await isWrittenRight(session, checks, defined, phase.name, helped))) {
    return;
  }
  const results =
    helped === undefined
      ? await runChecks(session, checks, defined, phase.name)
      : await runChecksInTwo(session, checks, defined, helped, phase.name);
  for (const result of results) context.report(checkDone(result, phase.name));
  const found = results.filter(({ findings }) => findings > 0);
  if (found.length === 0) return;
  // rows nobody can read are rejects already; the checks that meet them say nothing of the others
  const unreadable = await hasUnreadable(session, phase);
  const bad = found.filter((result) => !(unreadable && result.unreadable));
  for (const { check } of found.filter((result) => !bad.includes(result))) {
    context.remark(`${check.file} could not be run: a rejected row cannot be read`);
  }
  if (bad.length === 0) return;
  const touched = await touchedRows(session, phase);
  // a check that could not be run has found nothing that edits explain
  const fatal = bad.filter(
    ({ check, problem }) => touched === 0 || problem !== undefined || !check.explainedByEdits,
  );
  if (fatal.length > 0) {
    throw new LawBroken(`a data check found something:\n${fatal.map(lineOf).join('\n')}`);
  }
  context.remark(
    `the application changed ${touched} rows of ${phase.name} since they were written; ` +
      `\`runner verify\` lists them:\n${bad.map(lineOf).join('\n')}`,
  );
}

/** A second session helps to check a phase: it has what it looks at as written. */
function helping({ cancel }: Checking, second: Session, phase: string): Helped & Entering {
  return {
    cancel,
    beside: (help) =>
      transaction(second, () => help(second), {
        commit: false,
        lockTimeout: '1s',
        first: [ending(phase)],
      }),
    enter: () =>
      second.batch([BESIDE, AWAIT_LINK]).then(
        () => true,
        (error: unknown) => {
          if (!mayRetry(error)) throw error;
          return false;
        },
      ),
  };
}

/** To this transaction the entities of a phase are complete: all are written, the checks have to pass. */
export function ending(phase: string): string {
  return `select pg_catalog.set_config('migration.ending', ${literal(phase)}, true)`;
}

function lineOf({ check, sample, problem }: CheckResult): string {
  return `${check.file}: ${problem?.message ?? `not so: ${check.title} (${sample.join('; ')})`}`;
}

/** Rows of the phase that could not be read are among its rejects. */
async function hasUnreadable(session: Session, phase: Checked): Promise<boolean> {
  const [row] = await session.query<{ unreadable: boolean }>(
    `select migration.has_unreadable(${literal(phase.name)}) as unreadable`,
  );
  return row?.unreadable ?? false;
}

async function touchedRows(session: Session, phase: Checked): Promise<number> {
  const [row] = await session.query<{ rows: number }>('select migration.touched_rows($1) as rows', [
    phase.name,
  ]);
  return row?.rows ?? 0;
}
