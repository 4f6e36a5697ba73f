import type { Context } from './command.ts';
import { CouldNotConnect, mayRetry, type Session, transaction } from '../database.ts';

/**
 * Runs `body` in a second session, in a transaction of its own that is rolled back, while the command
 * goes on in its first; unless JOBS is 1, or no connection is left.
 */
export async function beside(
  context: Context,
  name: string,
  body: (session: Session) => Promise<void>,
): Promise<void> {
  const { jobs } = await context.config();
  if (jobs < 2) return;
  const session = await context.session(name).catch(noneToHave);
  if (session === undefined) return;
  await transaction(session, () => body(session), { commit: false, lockTimeout: '1s' });
}

/** True if `join` says so; false also where the source refuses it, or it would have to wait. */
export async function joined(join: () => Promise<boolean>): Promise<boolean> {
  return (await join().catch(noneToHave)) ?? false;
}

/** Enters a proof in the audit trail; where that cannot be, what was found stands all the same. */
export async function enterOrSay(
  { note }: Pick<Context, 'note'>,
  enter: () => Promise<void>,
): Promise<void> {
  try {
    await enter();
  } catch {
    note('what was found is not in the audit trail: the target took no line of it');
  }
}

function noneToHave(error: unknown): undefined {
  if (!(error instanceof CouldNotConnect) && !mayRetry(error)) throw error;
}
