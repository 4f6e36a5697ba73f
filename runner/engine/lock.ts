import { setTimeout as sleep } from 'node:timers/promises';

import type { Endpoint } from '../config.ts';
import { connect, ConnectionLost, type Session } from '../database.ts';
import { question } from './question.ts';

/** Another runner is at work on this target. */
export class RunnerBusy extends Error {
  override readonly name = 'RunnerBusy';
}

/** Holds the one-runner lock until it is released or the connection is lost. */
export interface Keeper {
  /** What other sessions see from its next heartbeat on; at most 63 bytes. */
  says(name: () => string): void;
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
 * called when the target stops answering. `name`: what other sessions see of it.
 */
export async function keepLock(
  target: Endpoint,
  onLost: (error: ConnectionLost) => void,
  name = 'runner keeper',
): Promise<Keeper> {
  const session = await connect(target, name);
  try {
    // it is asked every 5 s: after a minute of silence nobody is there who needs the lock
    await waitForLock(session, [
      'begin',
      `set local idle_in_transaction_session_timeout = '60s'`,
      'set local statement_timeout = 0',
    ]);
  } catch (error) {
    await session.close();
    throw error;
  }

  let lost: ConnectionLost | undefined;
  let asked = Date.now();
  let waiting = false;
  let named = (): string => name;
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
    // seen by other sessions at once, though nothing of this transaction is ever committed
    session
      .query(`select pg_catalog.set_config('application_name', $1, true)`, [named()])
      .finally(() => {
        waiting = false;
      })
      .catch((error: unknown) => {
        fail(new ConnectionLost(error instanceof Error ? error.message : String(error)));
      });
  }, HEARTBEAT_MS);
  timer.unref();

  return {
    says: (next) => {
      named = next;
    },
    check: () => {
      if (lost !== undefined) throw lost;
    },
    release: async () => {
      clearInterval(timer);
      await session.close();
    },
  };
}

async function waitForLock(session: Session, before: string[]): Promise<void> {
  const until = Date.now() + PATIENCE_MS;
  const attempt = question('runner_lock');
  let rows = await session.batch([...before, attempt]);
  while (!rows.some((row) => row['held'] === true)) {
    if (Date.now() > until) {
      const holder = rows.find((row) => 'holder' in row)?.['holder'];
      throw new RunnerBusy(
        `another runner is at work on this target${typeof holder === 'string' ? ` (${holder.replace(/^runner /, '')})` : ''}; ` +
          'nothing was changed',
      );
    }
    await sleep(300);
    rows = await session.batch([attempt]);
  }
}
