import { spawn } from 'node:child_process';
import { openSync, writeSync } from 'node:fs';

import { type Context, type Option, UsageError } from './command.ts';
import { readNotify } from '../config.ts';
import { CouldNotConnect, failureOf } from '../database.ts';
import type { Happening, RunEvent } from '../engine/events.ts';
import { endOf, exitCodeOf } from './outcome.ts';
import { note, sayJson } from '../terminal/terminal.ts';

/** The option of every command that writes. */
export const LOG: Option = {
  text: 'append events to a file, one JSON object per line',
  value: 'file',
};

/** Where events go: the log, NOTIFY_COMMAND, and standard output where that is asked for. */
export interface Recorder {
  report(event: Happening): void;
  /** What a failure that the command has explained itself came from. */
  failure: { message: string; code: string | null; fix: string | null } | undefined;
  /** With --json what a command ends with: the last line, after every event. */
  last: object | undefined;
  /** False where nobody is told anything. */
  hears: boolean;
}

/** Of a command that has told a person itself. */
const UNSAID = 'standard error says why';

/** A notification that takes longer is stopped. */
const PATIENCE_MS = 30_000;

/**
 * Runs a command that writes, and records what becomes of it; its errors are thrown on. A command that tells
 * when it starts, `up`, says so by `tells`: its events are also on standard output with --json.
 */
export async function recorded(
  context: Context,
  name: string,
  body: (recorder: Recorder) => Promise<number>,
  { tells = false } = {},
): Promise<number> {
  const command = tells ? name : [name, ...context.positionals].join(' ');
  const recorder = openRecorder(context, tells && context.has('json'));
  const began = Date.now();
  const end = (exit: number, message: string) => {
    const type = exit === 130 ? 'run.interrupted' : 'run.failed';
    recorder.report({ type, command, exit, ms: Date.now() - began, message });
  };
  try {
    if (!tells && recorder.hears) {
      recorder.report(started(command, (await context.config()).target.host));
    }
    const exit = await body(recorder);
    if (exit === 0) {
      recorder.report({ type: 'run.done', command, exit, ms: Date.now() - began });
    } else {
      const failure = recorder.failure ?? { message: UNSAID, code: null, fix: null };
      recorder.report({ type: 'error', exit, ...failure });
      end(exit, failure.message);
    }
    if (recorder.last !== undefined) sayJson(recorder.last);
    return exit;
  } catch (reason) {
    const error = endOf(reason, context.interrupt.requested);
    const exit = exitCodeOf(error);
    const failure = failureOfRun(error);
    recorder.report({ type: 'error', exit, ...failure });
    end(exit, failure.message);
    throw reason;
  }
}

/** What is recorded of an error; its message holds no row values (database.ts). */
export function failureOfRun(error: unknown): NonNullable<Recorder['failure']> {
  const failure = failureOf(error) ?? failureOf(error instanceof Error ? error.cause : undefined);
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof CouldNotConnect) {
    return { message, code: error.refusal.code || null, fix: error.fix };
  }
  return { message, code: failure?.code ?? null, fix: failure?.hint ?? null };
}

function started(command: string, target: string): Happening {
  const nothing = { phases: null, entities: null, rows: null, sourceRows: null };
  return { type: 'run.started', run: null, command, target, dryRun: false, ...nothing };
}

function openRecorder(context: Context, json: boolean): Recorder {
  const sinks: ((event: RunEvent) => void)[] = [];
  const file = context.value('log');
  if (file !== undefined) sinks.push(logTo(file));
  const { command, environment } = readNotify(context.root, context.value('env-file'));
  if (command !== undefined) sinks.push((event) => notify(command, environment, event));
  // an error is the last thing on standard output, and for whoever prints it
  if (json) sinks.push((event) => event.type !== 'error' && sayJson(event));
  let run: number | null = null;
  return {
    failure: undefined,
    last: undefined,
    hears: sinks.length > 0,
    report: (happening) => {
      if (happening.type === 'run.started') run = happening.run;
      const event: RunEvent = { v: 1, at: new Date().toISOString(), ...happening, run };
      for (const sink of sinks) sink(event);
    },
  };
}

/** Appends to a file. Where that cannot be opened nothing begins; later it is said, and the run goes on. */
function logTo(file: string): (event: RunEvent) => void {
  let descriptor: number | undefined = opened(file);
  return (event) => {
    if (descriptor === undefined) return;
    try {
      writeSync(descriptor, `${JSON.stringify(event)}\n`);
    } catch (error) {
      descriptor = undefined;
      note(`${file} cannot be written (${said(error)}): the log ends here, the run goes on`);
    }
  };
}

function opened(file: string): number {
  try {
    return openSync(file, 'a', 0o600);
  } catch (error) {
    throw new UsageError(`--log ${file} cannot be opened (${said(error)}); nothing was done`);
  }
}

/** Starts the command with an event on its input; what becomes of it does not matter to the run. */
function notify(command: string, environment: NodeJS.ProcessEnv, event: RunEvent): void {
  if (!/^(run|phase)\./.test(event.type)) return;
  // a group of its own: Ctrl-C is for the runner, and whatever hangs is stopped as a whole
  const child = spawn(command, {
    shell: true,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: {
      ...environment,
      RUNNER_EVENT: event.type,
      RUNNER_RUN: event.run === null ? '' : String(event.run),
    },
  });
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  child.stdin.end(`${JSON.stringify(event)}\n`);
  child.unref();
  const stop = setTimeout(() => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // it has ended
    }
  }, PATIENCE_MS);
  stop.unref();
  child.once('exit', () => clearTimeout(stop));
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
