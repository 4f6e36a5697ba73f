import { phaseOf } from '../engine/catalog.ts';
import { type Command, type Context, UsageError } from './command.ts';
import { agreed, notAgreed } from './consent.ts';
import { ConnectionLost, transaction } from '../database.ts';
import { keepLock } from '../engine/lock.ts';
import { finishRun, holdLease, install, installed, startRun } from '../engine/ledger.ts';
import { complain, note, say, sayJson, table } from '../terminal/terminal.ts';
import { phasesOnTop, StillReferenced, undo, undoArchive, type UndoStep } from '../engine/down.ts';

export const down: Command = {
  name: 'down',
  summary: 'takes a phase back: our rows go, rows of the application are as they were',
  usage: 'down <phase>',
  options: {
    cascade: { text: 'take the later phases that stand on it down first' },
    'dry-run': { text: 'show what would be done, then roll it back' },
    force: { text: 'also where the application changed or referenced our rows since' },
    yes: { text: 'do not ask; needed where there is no terminal' },
  },
  run: runCommand,
};

type Verdict = 'done' | 'dry-run' | 'stopped' | 'declined' | 'not agreed';

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
    throw new UsageError(
      `say one phase: ${catalog.phases.map(({ name }) => name).join(', ')}, archive`,
    );
  }
  const config = await context.config();
  const keeper = await keepLock(config.target, () => {});
  context.onEnd(() => keeper.release());
  const session = await context.session('runner');
  context.interrupt.cancel = () => {
    session.cancel();
  };
  if ((await installed(session, catalog)) === undefined) {
    say('nothing is migrated: there is nothing to take back');
    return 0;
  }
  await install(session, catalog);
  const onTop = await phasesOnTop(session, phase.name);
  if (onTop.length > 0 && !context.has('cascade')) {
    complain(
      `${phase.name} carries ${onTop.join(', ')}; nothing was changed\n` +
        'take those down first, or all of them with --cascade',
    );
    return 1;
  }
  let steps: UndoStep[] = [];
  let verdict: Verdict = 'done';
  try {
    await transaction(session, async () => {
      const run = await startRun(session, `down ${phase.name}`, { force: context.has('force') });
      await holdLease(session, run);
      steps =
        word === 'archive'
          ? [await undoArchive(session, catalog.archive, run)]
          : await undo(session, [phase.name, ...onTop]);
      if (!context.has('json')) showSteps(steps);
      verdict = await decide(context, steps);
      if (verdict !== 'done') throw new NotDone();
      await finishRun(session, run, 'done');
    });
  } catch (error) {
    if (error instanceof StillReferenced) {
      ({ steps } = error);
      if (!context.has('json')) showSteps(steps);
      verdict = 'stopped';
    } else if (!(error instanceof NotDone)) {
      // a COMMIT that was sent may have been done
      if (!(error instanceof ConnectionLost)) note('the phase is as it was, nothing was changed');
      throw error;
    }
  }
  return conclude(context, phase.name, steps, verdict);
}

async function decide(context: Context, steps: UndoStep[]): Promise<Verdict> {
  if (context.has('dry-run')) return 'dry-run';
  const blocked = steps.some(({ touched, references }) => touched > 0 || references.length > 0);
  if (blocked && !context.has('force')) return 'stopped';
  const answer = await agreed(context, 'take this back?');
  return answer === undefined ? 'not agreed' : answer ? 'done' : 'declined';
}

function showSteps(steps: UndoStep[]): void {
  if (steps.length === 0) {
    say('nothing of this phase is in the target');
    return;
  }
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

async function conclude(
  context: Context,
  phase: string,
  steps: UndoStep[],
  verdict: Verdict,
): Promise<number> {
  const words = {
    done: `${phase} is taken back; \`up\` brings the same rows with the same ids again`,
    'dry-run': 'dry run: nothing was changed',
    stopped:
      'the application changed or references rows listed above; nothing was changed\n' +
      'settle them, or use --force to take the rows back all the same',
    declined: 'nothing was changed',
  };
  if (context.has('json')) sayJson({ verdict, phase, entities: steps });
  if (verdict === 'not agreed') throw notAgreed();
  if (context.has('json')) return verdict === 'stopped' ? 1 : 0;
  if (verdict === 'stopped') complain(words.stopped);
  else say(words[verdict]);
  return verdict === 'stopped' ? 1 : 0;
}
