import { setTimeout as sleep } from 'node:timers/promises';

import type { Endpoint } from './config.ts';
import { connect, ConnectionLost, type Session } from './database.ts';
import { question } from './question.ts';

/** Another runner is at work on this target. */
export class RunnerBusy extends Error {
  override readonly name = 'RunnerBusy';
}

/** Holds the one-runner lock until it is released or the connection is lost. */
export interface Keeper {
  /** Throws ConnectionLost once the target has stopped answering. */
  check(): void;
  release(): Promise<void>;
}

/** A killed runner's backend ends within seconds: its lock is worth waiting for. */
const PATIENCE_MS = 15_000;
const HEARTBEAT_MS = 5_000;
/** No answer for this long, while other sessions may wait for ever: the connection is lost. */
const SILENCE_MS = 20_000;

/**
 * Takes the lock in a transaction of its own that stays open for the run; a session lock would
 * vanish unseen with a silent reconnect. Waits up to 15 s, then throws RunnerBusy. `onLost` is
 * called when the target stops answering.
 */
export async function keepLock(
  target: Endpoint,
  onLost: (error: ConnectionLost) => void,
): Promise<Keeper> {
  const session = await connect(target, 'runner keeper');
  try {
    await session.query(
      // it is asked every 5 s: after a minute of silence nobody is there who needs the lock
      `begin; set local idle_in_transaction_session_timeout = '60s'; set local statement_timeout = 0`,
    );
    await waitForLock(session);
  } catch (error) {
    await session.close();
    throw error;
  }

  let lost: ConnectionLost | undefined;
  let asked = Date.now();
  let waiting = false;
  const fail = (error: ConnectionLost) => {
    if (lost !== undefined) return;
    lost = error;
    onLost(error);
  };
  const timer = setInterval(() => {
    if (waiting) {
      if (Date.now() - asked > SILENCE_MS) {
        fail(new ConnectionLost('the target has not answered for 20 seconds'));
      }
      return;
    }
    waiting = true;
    asked = Date.now();
    session
      .query('select')
      .finally(() => {
        waiting = false;
      })
      .catch((error: unknown) => {
        fail(new ConnectionLost(error instanceof Error ? error.message : String(error)));
      });
  }, HEARTBEAT_MS);
  timer.unref();

  return {
    check: () => {
      if (lost !== undefined) throw lost;
    },
    release: async () => {
      clearInterval(timer);
      await session.close();
    },
  };
}

async function waitForLock(session: Session): Promise<void> {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const [row] = await session.query<{ held: boolean }>(question('runner_lock'));
    if (row?.held === true) return;
    if (Date.now() > until) {
      throw new RunnerBusy('another runner is at work on this target; nothing was changed');
    }
    await sleep(300);
  }
}
