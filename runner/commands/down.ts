import { phaseOf } from '../engine/catalog.ts';
import { type Command, type Context, Refused, UsageError } from './command.ts';
import { agreed, notAgreed } from './consent.ts';
import { ConnectionLost, type Session, transaction } from '../database.ts';
import { keepLock } from '../engine/lock.ts';
import { finishRun, holdLease, install, installed, startRun } from '../engine/ledger.ts';
import { LOG, recorded } from './record.ts';
import { note, say, sayJson, table } from '../terminal/terminal.ts';
import { phasesOnTop, StillReferenced, undo, undoArchive, type UndoStep } from '../engine/down.ts';

export const down: Command = {
  options: {
    cascade: { text: 'take the later phases that stand on it down first' },
    'dry-run': { text: 'show what would be done, then roll it back' },
    force: { text: 'also where the application changed or referenced our rows since' },
    yes: { text: 'do not ask; needed where there is no terminal' },
    log: LOG,
  },
  run: (context) => recorded(context, 'down', () => runCommand(context)),
};

type Verdict =
  'nothing' | 'done' | 'dry-run' | 'stopped' | 'held' | 'declined' | 'changed' | 'not agreed';

/** What taking a phase back means, and what became of it. */
interface Outcome {
  steps: UndoStep[];
  verdict: Verdict;
}

/** Thrown to roll back what was only meant to be shown. */
class NotDone extends Error {}

async function runCommand(context: Context): Promise<number> {
  const catalog = context.catalog();
  const [word, ...more] = context.positionals;
  const phase =
    word === 'archive'
      ? { name: word }
      : word === undefined
        ? undefined
        : phaseOf(catalog.phases, word);
  if (phase === undefined || more.length > 0) {
    const phases = [...catalog.phases.map(({ name }) => name), 'archive'];
    throw new UsageError(`say one phase: ${phases.join(', ')}`);
  }
  const config = await context.config();
  const keeper = await keepLock(config.target, () => {}, 'runner down');
  context.onEnd(() => keeper.release());
  const session = await context.session('runner');
  if ((await installed(session, catalog)) === undefined) {
    if (context.has('json')) sayJson({ verdict: 'nothing', phase: phase.name, entities: [] });
    else say('nothing is migrated: there is nothing to take back');
    return 0;
  }
  await install(session, catalog);
  const onTop = await phasesOnTop(session, phase.name);
  if (onTop.length > 0 && !context.has('cascade')) {
    throw new Refused(
      `${phase.name} carries ${onTop.join(', ')}; nothing was changed`,
      'take those down first, or all of them with --cascade',
    );
  }
  const attempt = (decide: (steps: UndoStep[]) => Verdict) =>
    takeBack(session, `down ${phase.name}`, context.has('force'), decide, (run) =>
      word === 'archive'
        ? undoArchive(session, catalog.archive, run).then((step) => [step])
        : undo(session, [phase.name, ...onTop]),
    );
  const first = await attempt((steps) => firstVerdict(context, steps));
  if (!context.has('json')) showSteps(first.steps);
  if (first.verdict !== 'not agreed') return conclude(context, phase.name, first);
  // nothing is held while the question stands, but the lock of the one runner
  const answer = await agreed(context, 'take this back?');
  if (answer !== true) {
    const verdict = answer === undefined ? 'not agreed' : 'declined';
    return conclude(context, phase.name, { ...first, verdict });
  }
  keeper.check();
  const shown = JSON.stringify(first.steps);
  const second = await attempt((steps) => (JSON.stringify(steps) === shown ? 'done' : 'changed'));
  if (second.verdict !== 'done' && !context.has('json')) showSteps(second.steps);
  return conclude(context, phase.name, second);
}

/**
 * Takes back in one transaction, which is committed only where the verdict on what that means is
 * 'done'. What is in the way is no error, but a verdict.
 */
async function takeBack(
  session: Session,
  command: string,
  force: boolean,
  decide: (steps: UndoStep[]) => Verdict,
  body: (run: number) => Promise<UndoStep[]>,
): Promise<Outcome> {
  const outcome: Outcome = { steps: [], verdict: 'done' };
  try {
    await transaction(session, async () => {
      const run = await startRun(session, command, { force });
      await holdLease(session, run);
      outcome.steps = await body(run);
      outcome.verdict = decide(outcome.steps);
      if (outcome.verdict !== 'done') throw new NotDone();
      await finishRun(session, run, 'done');
    });
  } catch (error) {
    if (error instanceof StillReferenced) return { steps: error.steps, verdict: 'held' };
    if (error instanceof NotDone) return outcome;
    // a COMMIT that was sent may have been done
    if (!(error instanceof ConnectionLost)) note('the phase is as it was, nothing was changed');
    throw error;
  }
  return outcome;
}

/** Where nobody has been asked yet. */
function firstVerdict(context: Context, steps: UndoStep[]): Verdict {
  if (steps.length === 0) return 'nothing';
  if (context.has('dry-run')) return 'dry-run';
  const blocked = steps.some(({ touched, references }) => touched > 0 || references.length > 0);
  if (blocked && !context.has('force')) return 'stopped';
  return context.has('yes') ? 'done' : 'not agreed';
}

function showSteps(steps: UndoStep[]): void {
  if (steps.length === 0) return;
  table(
    [
      'phase',
      'entity',
      'rows to delete',
      'to restore',
      'changed by the application',
      'referenced by',
    ],
    steps.map((step) => [
      step.phase,
      step.entity,
      step.created,
      step.restored,
      step.touched,
      step.references.join(', '),
    ]),
  );
}

function conclude(context: Context, phase: string, { steps, verdict }: Outcome): number {
  const answer = { verdict, phase, entities: steps };
  if (verdict === 'not agreed') throw notAgreed(answer);
  const refused = refusalOf(answer);
  if (refused !== undefined) throw new Refused(...refused, answer);
  if (context.has('json')) {
    sayJson(answer);
    return 0;
  }
  const words = {
    done: `${phase} is taken back; \`up\` brings the same rows with the same ids again`,
    nothing: `nothing of ${phase} is in the target`,
    'dry-run': 'dry run: nothing was changed',
    declined: 'nothing was changed',
  };
  say(words[verdict as keyof typeof words]);
  return 0;
}

/** Why it was not done, and what to do about it; undefined where nothing stood in the way. */
function refusalOf({ verdict, entities }: { verdict: Verdict; entities: UndoStep[] }) {
  const refusals: Partial<Record<Verdict, [string, string]>> = {
    stopped: [
      'the application changed or references rows listed above; nothing was changed',
      'settle them, or use --force to take the rows back all the same',
    ],
    held: [
      [
        'rows of the application are in the way, and --force cannot take them along; ' +
          'nothing was changed',
        ...entities.flatMap(({ entity, held }) => held.map((line) => `  ${entity}: ${line}`)),
      ].join('\n'),
      'delete these rows or let them refer to nothing, then run the same command again',
    ],
    changed: [
      'what would be done has changed since it was shown (now as above); nothing was changed',
      'run the same command again',
    ],
  };
  return refusals[verdict];
}
