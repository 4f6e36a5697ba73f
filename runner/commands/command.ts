import { join } from 'node:path';
import { parseArgs, type ParseArgsConfig } from 'node:util';

import { type Catalog, readCatalog } from '../engine/catalog.ts';
import { type Config, readConfig } from '../config.ts';
import { connect, ConnectionLost, CouldNotConnect, type Session } from '../database.ts';
import type { Interrupt } from '../engine/run.ts';
import { complain } from '../terminal/terminal.ts';

/** One command: what `--help` says and what it does. */
export interface Command {
  name: string;
  /** One line for the overview. */
  summary: string;
  /** After `runner`: `down <phase> [options]`. */
  usage: string;
  /** One line per option, for --help. */
  options: Record<string, Option>;
  /** Returns the exit code (0, 1 or 4); other codes come from the errors it throws. */
  run(context: Context): Promise<number>;
}

/** A command line option; `value` names its argument, absent for a switch. */
export interface Option {
  text: string;
  value?: string;
}

/** What a command gets: its arguments and its surroundings, opened on demand. */
export interface Context {
  root: string;
  positionals: string[];
  /** Switch given? */
  has(name: string): boolean;
  /** Argument of an option. */
  value(name: string): string | undefined;
  interrupt: Interrupt;
  /** Configuration; starts the embedded pair first with --embedded. */
  config(): Promise<Config>;
  catalog(): Catalog;
  /** A connection to the target: an interrupt stops its statement, the end of the command closes it. */
  session(name: string): Promise<Session>;
  /** Called when the command has ended, last first. */
  onEnd(action: () => Promise<void>): void;
}

/** The call is wrong: exit 2, with the usage. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Shows what came of work that is committed; returns the exit code. A target that is gone by then
 * takes nothing back: `truth` says so.
 */
export async function showAfter(truth: string, body: () => Promise<number>): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof ConnectionLost || error instanceof CouldNotConnect)) throw error;
    const { message } =
      error instanceof CouldNotConnect
        ? new CouldNotConnect(error.side, error.refusal, truth)
        : new Error(`${error.message}; ${truth}`);
    complain(message);
    return 4;
  }
}

const COMMON: Record<string, Option> = {
  json: { text: 'machine-readable output on standard output' },
  embedded: { text: 'use the embedded pair of servers with sample data, no configuration' },
  help: { text: 'this text' },
};

/** The help of one command: fits one screen. */
export function helpOf(command: Command): string {
  const lines = Object.entries({ ...command.options, ...COMMON }).map(([name, option]) => {
    const left = `--${name}${option.value === undefined ? '' : ` <${option.value}>`}`;
    return `  ${left.padEnd(26)} ${option.text}`;
  });
  return `${command.summary}\n\nusage: runner ${command.usage}\n\n${lines.join('\n')}`;
}

/** Parses the arguments of a command. Throws UsageError. */
export function contextOf(
  command: Command,
  argv: string[],
  root: string,
  interrupt: Interrupt,
): Context & { help: boolean; end(): Promise<void> } {
  const options: ParseArgsConfig['options'] = {};
  for (const [name, { value }] of Object.entries({ ...command.options, ...COMMON })) {
    options[name] = { type: value === undefined ? 'boolean' : 'string' };
  }
  const { values, positionals } = parsed(argv, options);
  const actions: (() => Promise<void>)[] = [];
  let config: Promise<Config> | undefined;
  let catalog: Catalog | undefined;

  const readOrStart = async (): Promise<Config> => {
    if (values['embedded'] !== true) return readConfig(root);
    // loaded on demand: nobody who has databases needs it
    const { startPair } = await import('../embedded/pair.ts');
    const pair = await startPair({ directory: join(root, '.embedded', 'pair') });
    actions.push(() => pair.stop());
    return readConfig(root, { source: pair.sourceUrl, target: pair.targetUrl });
  };
  const context = {
    root,
    positionals,
    interrupt,
    help: values['help'] === true,
    has: (name: string) => values[name] === true,
    value: (name: string) => {
      const value = values[name];
      return typeof value === 'string' ? value : undefined;
    },
    config: () => (config ??= readOrStart()),
    catalog: () => (catalog ??= readCatalog(root)),
    session: async (name: string) => {
      const { target } = await context.config();
      const session = await connect(target, name);
      actions.push(() => session.close());
      const { cancel } = interrupt;
      interrupt.cancel = () => {
        cancel();
        session.cancel();
      };
      return session;
    },
    onEnd: (action: () => Promise<void>) => {
      actions.push(action);
    },
    end: async () => {
      for (const action of actions.toReversed()) await action();
    },
  };
  return context;
}

function parsed(argv: string[], options: NonNullable<ParseArgsConfig['options']>) {
  try {
    return parseArgs({ args: argv, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
