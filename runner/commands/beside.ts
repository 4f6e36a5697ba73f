import type { Context } from './command.ts';
import { CouldNotConnect, mayRetry, type Session, transaction } from '../database.ts';

/**
 * Runs `body` in a second session, in a transaction of its own that is rolled back, while the command
 * goes on in its first; unless JOBS is 1. Nothing happens where there is none to have: no connection is
 * left, or `join` says no, or would have to wait for more than a second.
 */
export async function beside(
  context: Context,
  name: string,
  join: (session: Session) => Promise<boolean>,
  body: (session: Session) => Promise<void>,
): Promise<void> {
  const { jobs } = await context.config();
  if (jobs < 2) return;
  const session = await context.session(name).catch(noneToHave);
  if (session === undefined) return;
  const work = async () => {
    if ((await join(session).catch(noneToHave)) === true) await body(session);
  };
  await transaction(session, work, { commit: false, lockTimeout: '1s' });
}

function noneToHave(error: unknown): undefined {
  if (!(error instanceof CouldNotConnect) && !mayRetry(error)) throw error;
}
