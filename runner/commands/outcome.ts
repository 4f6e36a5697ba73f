import { Refused, UsageError } from './command.ts';
import { ConfigError } from '../config.ts';
import { ConnectionLost, CouldNotConnect, failureOf } from '../database.ts';
import { RunnerBusy } from '../engine/lock.ts';
import { Interrupted, PreflightFailed } from '../engine/run.ts';

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

/** The end of a command that failed, for machines: the last line of standard output with --json. */
export interface ErrorLine {
  type: 'error';
  /** What the process ends with. */
  exit: number;
  /** SQLSTATE, errno or another word for the cause; null where there is none. */
  code: string | null;
  /** What happened, and what is true now. */
  message: string;
  /** What to do; '' where the message says it all. */
  fix: string;
}

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

/** An error as one object, with what else is known; `usage` is that of the command that was called. */
export function errorLine(error: unknown, usage: string): ErrorLine {
  const { message, fix } = told(error, usage);
  const line = {
    type: 'error',
    exit: exitCodeOf(error),
    code: codeOf(error),
    message,
    fix,
  } as const;
  if (error instanceof PreflightFailed) return Object.assign(line, { problems: error.problems });
  if (!(error instanceof UsageError || error instanceof Refused)) return line;
  return Object.assign(line, error.answer);
}

/** What happened, what is true now and what to do. */
export function explanationOf(error: unknown, usage: string): string {
  const { message, fix } = told(error, usage);
  if (fix === '') return message;
  return `${message}\n${error instanceof CouldNotConnect ? 'fix: ' : ''}${fix}`;
}

function told(error: unknown, usage: string): { message: string; fix: string } {
  if (error instanceof Interrupted) {
    // `up` knows what is committed
    const known = error.message !== 'interrupted';
    return {
      message: known
        ? error.message
        : 'interrupted; what was not committed is rolled back, `up` goes on from there',
      fix: '',
    };
  }
  const failure = failureOf(error);
  if (failure !== undefined) {
    const { code, message, hint = '' } = failure;
    const known = message.includes(`(${code})`);
    return { message: known ? message : `${message} (SQLSTATE ${code})`, fix: hint };
  }
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof UsageError) {
    const lines = [error.fix, usage === '' ? undefined : `usage: ${usage}`];
    return { message, fix: lines.filter((line) => line !== undefined).join('\n') };
  }
  if (error instanceof ConfigError) {
    return { message, fix: 'set them in .env (see .env.example), or try --embedded' };
  }
  if (error instanceof ConnectionLost) {
    return { message, fix: 'the outcome is not known here: run the same command again' };
  }
  const known = error instanceof CouldNotConnect || error instanceof Refused;
  return { message, fix: known ? error.fix : '' };
}

/** Of the error, or of what it was caused by. */
function codeOf(error: unknown): string | null {
  if (error instanceof CouldNotConnect)
    return error.refusal.code === '' ? null : error.refusal.code;
  const code = failureOf(error)?.code ?? errnoOf(error);
  if (code !== undefined) return code;
  return error instanceof Error && error.cause !== undefined ? codeOf(error.cause) : null;
}

function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error && 'code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
