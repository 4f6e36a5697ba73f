import { UsageError } from './command.ts';
import { ConfigError } from '../config.ts';
import { ConnectionLost, CouldNotConnect, failureOf } from '../database.ts';
import { RunnerBusy } from '../engine/lock.ts';
import { Interrupted } from '../engine/run.ts';

/** What the process ends with; every other error is 1. */
const CODES = [
  [UsageError, 2],
  [ConfigError, 2],
  [RunnerBusy, 3],
  [ConnectionLost, 4],
  [CouldNotConnect, 5],
  [Interrupted, 130],
] as const;

/** The same of what the engine raises: another run has the lease, another session the link. */
const STATES: Record<string, number> = { MIG02: 3, MIG03: 3 };

/** What a command ended with: where the user stopped it, the statement that was cancelled says no more. */
export function endOf(error: unknown, interrupted: boolean): unknown {
  const isCancelled = interrupted && failureOf(error)?.code === '57014';
  return isCancelled ? new Interrupted('interrupted', { cause: error }) : error;
}

/** The exit code of a command that ends with an error; what an error was caused by counts too. */
export function exitCodeOf(error: unknown): number {
  const known = CODES.find(([kind]) => error instanceof kind);
  if (known !== undefined) return known[1];
  const code = STATES[failureOf(error)?.code ?? ''];
  if (code !== undefined) return code;
  return error instanceof Error && error.cause !== undefined ? exitCodeOf(error.cause) : 1;
}

/** What happened, what is true now and what to do. */
export function explanationOf(error: unknown, usage: string): string {
  if (error instanceof Interrupted) {
    // `up` knows what is committed
    if (error.message !== 'interrupted') return error.message;
    return 'interrupted; what was not committed is rolled back, `up` goes on from there';
  }
  const failure = failureOf(error);
  if (failure !== undefined) {
    const hint = failure.hint === undefined ? '' : `\n${failure.hint}`;
    const code = failure.message.includes(`(${failure.code})`) ? '' : ` (SQLSTATE ${failure.code})`;
    return `${failure.message}${code}${hint}`;
  }
  const said = error instanceof Error ? error.message : String(error);
  if (error instanceof UsageError) return `${said}\nusage: runner ${usage}`;
  if (error instanceof ConfigError) {
    return `${said}\nset them in .env (see .env.example), or try --embedded`;
  }
  if (error instanceof ConnectionLost) {
    return `${said}\nthe outcome is not known here: run the same command again`;
  }
  return error instanceof CouldNotConnect ? `${said}\nfix: ${error.fix}` : said;
}
