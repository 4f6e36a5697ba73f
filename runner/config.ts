import { existsSync, readFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { parse } from 'dotenv';

/** A value that shows itself only when asked: printing, JSON and inspection give `[redacted]`. */
export interface Secret {
  reveal(): string;
}

/** `disable` = clear text; `require` = encrypted, certificate not checked; the others check it. */
export type SslMode = 'disable' | 'require' | 'verify-ca' | 'verify-full';

/** Where a database is and who logs in. */
export interface Endpoint {
  host: string;
  port: number;
  database: string;
  user: string;
  password: Secret;
  sslMode: SslMode;
  /** File with the certificates of the authority, for the two verifying modes. */
  sslRootCert: string | undefined;
}

/** Everything a command may know of its surroundings; frozen. */
export interface Config {
  /** As the target reaches it. */
  source: Endpoint;
  /** As this machine reaches it, where that is another address. */
  sourceFromHere?: Endpoint;
  target: Endpoint;
  /** Workers of a phase that commits range by range, 1 to 8. */
  jobs: number;
  /** Share of rows that rules may reject where the file says nothing, 0.01 = 1 %. */
  rejectTolerance: number;
}

/** Wrong or missing settings, all of them; the message names variables, never their values. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: string[];
  constructor(problems: string[]) {
    super(`configuration:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/**
 * Reads the environment and `file`, by default `<root>/.env` (the environment wins). `urls` takes the place
 * of what is configured: the embedded pair needs no configuration. Throws ConfigError with everything
 * that is wrong.
 */
export function readConfig(
  root: string,
  {
    file,
    urls,
  }: {
    file?: string | undefined;
    urls?: { source?: string | undefined; target?: string | undefined } | undefined;
  } = {},
): Config {
  const settings = settingsOf(root, file);
  const problems: string[] = [];

  const endpoint = (name: string, given: string | undefined): Endpoint | undefined => {
    const text = given ?? settings[name];
    if (text === undefined || text.trim() === '') {
      problems.push(`${name} is not set: postgresql://user:password@host:5432/database`);
      return undefined;
    }
    const found = parseUrl(text.trim());
    if (typeof found === 'string') problems.push(`${name} ${found}`);
    return typeof found === 'string' ? undefined : found;
  };
  const number = (name: string, fallback: number, low: number, high: number): number => {
    const text = settings[name]?.trim();
    if (text === undefined || text === '') return fallback;
    const value = Number(text);
    if (value >= low && value <= high) return value;
    problems.push(`${name} must be a number from ${low} to ${high}`);
    return fallback;
  };

  const source = endpoint('SOURCE_DATABASE_URL', urls?.source);
  const target = endpoint('TARGET_DATABASE_URL', urls?.target);
  const jobs = Math.trunc(number('JOBS', 2, 1, 8));
  const rejectTolerance = number('REJECT_TOLERANCE', 1, 0, 100) / 100;
  const sourceFromHere = source && { ...source };
  if (urls?.source === undefined) {
    const host = settings['SOURCE_HOST_FROM_TARGET']?.trim();
    if (source !== undefined && host !== undefined && host !== '') source.host = host;
    if (source !== undefined) {
      source.port = number('SOURCE_PORT_FROM_TARGET', source.port, 1, 65535);
    }
  }
  if (!source || !sourceFromHere || !target || problems.length > 0) {
    throw new ConfigError(problems);
  }
  return Object.freeze({ source, sourceFromHere, target, jobs, rejectTolerance });
}

function fromFile(root: string, file: string | undefined): Record<string, string> {
  const path = file ?? join(root, '.env');
  if (file === undefined && !existsSync(path)) return {};
  try {
    return parse(readFileSync(path));
  } catch {
    const what = existsSync(path) ? 'cannot be read' : 'is not there';
    throw new ConfigError([`the file ${path} ${what}`]);
  }
}

/**
 * The command that is told of events, if there is one, and its environment: that of the runner without the
 * two databases.
 */
export function readNotify(
  root: string,
  file?: string,
): {
  command: string | undefined;
  environment: NodeJS.ProcessEnv;
} {
  const {
    SOURCE_DATABASE_URL: _source,
    TARGET_DATABASE_URL: _target,
    ...environment
  } = process.env;
  const command = settingsOf(root, file)['NOTIFY_COMMAND']?.trim();
  return { command: command === '' ? undefined : command, environment };
}

function settingsOf(root: string, file: string | undefined): NodeJS.ProcessEnv {
  return { ...fromFile(root, file), ...process.env };
}

/** Who runs this process, where: for whoever finds it at work. */
export function whoAmI(): { by: string; pid: number } {
  return { by: `${userName()}@${hostname()}`, pid: process.pid };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // an account without an entry, as in containers
    return `uid ${process.getuid?.() ?? ''}`;
  }
}

/** What the terminal needs to know. */
export function readTerminal(): {
  /** Colours are wanted, or not, whatever the stream is; undefined = only at a terminal. */
  color: boolean | undefined;
  ci: boolean;
  /** A terminal that shows texts and nothing else. */
  dumb: boolean;
  /** Width where a stream is no terminal. */
  columns: number | undefined;
} {
  const { env } = process;
  const forced = env['FORCE_COLOR'];
  const none = env['NO_COLOR'];
  const columns = Number(env['COLUMNS']);
  return {
    // as Node does it: FORCE_COLOR before NO_COLOR
    color:
      forced !== undefined
        ? forced !== '0' && forced !== 'false'
        : none !== undefined && none !== ''
          ? false
          : undefined,
    ci: env['CI'] !== undefined,
    dumb: env['TERM'] === 'dumb',
    columns: Number.isInteger(columns) && columns >= 20 ? columns : undefined,
  };
}

/** What GitHub Actions wants to hear: problems as commands, and the file of the summary of the step. */
export function readWorkflow(): { annotates: boolean; summary: string | undefined } {
  const { GITHUB_ACTIONS: actions, GITHUB_STEP_SUMMARY: summary } = process.env;
  const annotates = actions === 'true';
  return { annotates, summary: annotates && summary !== '' ? summary : undefined };
}

/** Wraps a value so that it cannot be printed by accident. */
export function secret(value: string): Secret {
  const redacted = () => '[redacted]';
  return Object.freeze({
    reveal: () => value,
    toString: redacted,
    toJSON: redacted,
    [inspect.custom]: redacted,
  });
}

/**
 * Takes a connection URL apart; the password may hold any character, encoded or not, since it ends
 * at the last `@` before a host. Returns a sentence without the value when it cannot.
 */
export function parseUrl(text: string): Endpoint | string {
  const form =
    /^postgres(?:ql)?:\/\/([^:@/]+)(?::(.*))?@(\[[0-9a-fA-F:]+\]|[^@/:?#\s]+)(?::(\d+))?\/([^?/#]+)(?:\?(.*))?$/s;
  const [, user, password, host, port, database, query] = form.exec(text) ?? [];
  if (user === undefined || host === undefined || database === undefined) {
    return 'is not of the form postgresql://user:password@host:5432/database';
  }
  if (password === undefined || password === '') return 'holds no password';
  const options = new URLSearchParams(query ?? '');
  const sslMode = options.get('sslmode') ?? (isLoopback(host) ? 'disable' : 'require');
  if (!isSslMode(sslMode)) {
    return 'has an sslmode other than disable, require, verify-ca, verify-full';
  }
  return {
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? 5432 : Number(port),
    database: decoded(database),
    user: decoded(user),
    password: secret(decoded(password)),
    sslMode,
    sslRootCert: options.get('sslrootcert') ?? undefined,
  };
}

function isSslMode(word: string): word is SslMode {
  return ['disable', 'require', 'verify-ca', 'verify-full'].includes(word);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** A lone % is taken as it stands: passwords are pasted more often than encoded. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
