import type { Catalog } from '../engine/catalog.ts';
import type { Config } from '../config.ts';
import type { Session } from '../database.ts';
import type { Interrupt } from '../engine/run.ts';

/** What a command takes and does; its name, usage and summary are in list.ts. */
export interface Command {
  /** One line per option, for --help; those of all commands are in COMMON. */
  options: Record<string, Option>;
  /** It needs no project directory. */
  anywhere?: true;
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
  /** The project directory. */
  root: string;
  positionals: string[];
  /** Switch given? */
  has(name: string): boolean;
  /** Argument of an option. */
  value(name: string): string | undefined;
  interrupt: Interrupt;
  /** Tells what a person should know besides the result. */
  note: (line: string) => void;
  /** Configuration; starts the embedded pair first with --embedded. */
  config(): Promise<Config>;
  catalog(): Catalog;
  /** A connection to the target: an interrupt stops its statement, the end of the command closes it. */
  session(name: string): Promise<Session>;
  /** Called when the command has ended, last first. */
  onEnd(action: () => Promise<void>): void;
}

/** The call is wrong: exit 2, with `fix`, what was meant, or else the usage. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly fix: string | undefined;
  /** What --json says besides. */
  readonly answer: object;
  constructor(message: string, fix?: string, answer = {}) {
    super(message);
    this.fix = fix;
    this.answer = answer;
  }
}

/** What was asked cannot be done as things are: exit 1. `fix` says what to do first. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly fix: string;
  /** What --json says besides. */
  readonly answer: object;
  constructor(message: string, fix = '', answer = {}) {
    super(message);
    this.fix = fix;
    this.answer = answer;
  }
}

/** Options of every command. */
export const COMMON: Record<string, Option> = {
  json: { text: 'machine-readable output on standard output, errors too' },
  embedded: { text: 'two servers with sample data instead of a configuration' },
  project: { text: 'the project directory', value: 'dir' },
  'env-file': { text: 'read the settings from this file instead of .env', value: 'file' },
};
