import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type { Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import {
  binaries,
  canEnter,
  hasCode,
  serverAccount,
  temporaryPlace,
  type Account,
} from './binaries.ts';
import { commandLine, freePort, isAlive, withLock } from './machine.ts';
import type { Major } from './releases.ts';

/** A running server on 127.0.0.1. `directory` holds its data, its log and its passwords. */
export type Server = {
  major: Major;
  port: number;
  directory: string;
  logFile: string;
  /** URL of the bootstrap superuser, by default for the database `postgres`. */
  adminUrl(database?: string): string;
  /** URL of one of the roles named at the start. */
  url(role: string, database: string): string;
  /** Stops it, unless another process had started it. Resolves when it is gone. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
};

/** What a server is started with. */
export type ServerOptions = {
  major: Major;
  directory: string;
  /** Name of the bootstrap superuser, default `postgres`. */
  admin?: string;
  /** Roles that get a password of their own. `prepare` creates them. */
  roles?: string[];
  /** Server settings on top of ours. */
  settings?: Record<string, string>;
  /** Default: a free one. */
  port?: number;
  /** Fills a new server. Is repeated from nothing when it did not reach its end. */
  prepare?: (server: Server) => Promise<void>;
  /** What the data is, in free text: data made with another label is refused. */
  label?: string;
};

type State = { major: Major; passwords: Record<string, string>; label: string };

// a stand-in may forget everything when the machine loses power: no write waits for the disk
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  work_mem: '64MB',
  max_connections: '60',
  autovacuum: 'on',
  logging_collector: 'off',
  log_line_prefix: '%m [%p] %q%u@%d ',
  // the shared memory of a container is often too small for a parallel query
  dynamic_shared_memory_type: 'mmap',
};

// The shell leaves a watcher behind and becomes the server itself. Descriptor 3 is a pipe that only
// node holds open: however node ends, SIGKILL included, the pipe closes and the watcher stops the
// server. The watcher is nobody's child, so that the server is not surprised by its end.
const GUARDED_START = `
  ( {
    read -r word <&3
    test "$word" = gone && exit
    kill -s INT $$
    for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1; kill -s 0 $$ || exit; done
    kill -s QUIT $$
  } >&- 2>&- & )
  exec "$@" 3<&-`;

// an immediate stop, or a start that has to recover from one, is a matter of seconds
const START_MILLISECONDS = 120_000;
const STOP_MILLISECONDS = 20_000;

const ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/**
 * Starts a server on the data of `directory`, making the data first if there is none or if making
 * it was interrupted. A server of that directory that runs already is used as it is and left
 * running. The server ends with this process, however that ends, and does not keep it alive.
 * Throws with the end of the server's log when it does not start.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const account = serverAccount();
  const directory = place(resolve(options.directory), account);
  return await withLock(join(directory, 'lock'), async () => {
    const known = readState(directory);
    if (known) assertSame(known, options);
    const running = known && (await findRunning(directory, known, options));
    if (running) return running;
    await untilUnused(directory);

    const bin = binaries(options.major, account);
    const state = known ?? newState(options);
    if (!known) await initialise(bin, directory, state, options, account);
    const server = await launch(bin, directory, state, options, account);
    if (!known) await fill(server, directory, state, options);
    return server;
  });
}

/** The label the data of `directory` was made with, or undefined if there is no complete data. */
export function labelOf(directory: string): string | undefined {
  return readState(place(resolve(directory), serverAccount()))?.label;
}

/** Copies the data of a stopped server: the copy is the same system, with the same history and passwords. */
export function copyServer(from: string, to: string): void {
  const account = serverAccount();
  const [source, copy] = [from, to].map((directory) => place(resolve(directory), account));
  // with its owner, which is not always ours
  execFileSync('cp', ['-a', `${source}/.`, `${copy}`]);
}

/** Removes the data of a stopped server, wherever it is kept. */
export function removeServer(directory: string): void {
  for (const path of [resolve(directory), temporaryPlace(resolve(directory))]) {
    rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

// The data stands where it was asked for, unless the server's account cannot get there.
function place(directory: string, account: Account): string {
  for (const choose of [() => directory, () => temporaryPlace(directory)]) {
    const candidate = choose();
    if (mkdirSync(candidate, { recursive: true })) chmodSync(candidate, 0o711);
    if (canEnter(candidate, account)) return realpathSync(candidate);
  }
  throw new Error(`PostgreSQL can be run neither in ${directory} nor in the temporary directory`);
}

function newState({ major, admin = 'postgres', roles = [], label = '' }: ServerOptions): State {
  const password = (): string => randomBytes(18).toString('base64url');
  return {
    major,
    passwords: Object.fromEntries([admin, ...roles].map((role) => [role, password()])),
    label,
  };
}

function readState(directory: string): State | undefined {
  const file = join(directory, 'state.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as State) : undefined;
}

function assertSame(held: State, { major, label = '', directory }: ServerOptions): void {
  if (held.major === major && held.label === label) return;
  throw new Error(
    `${directory} holds PostgreSQL ${held.major} ${held.label}, ` +
      `not ${major} ${label}: remove the directory or ask for what it holds`,
  );
}

async function initialise(
  bin: string,
  directory: string,
  state: State,
  { admin = 'postgres' }: ServerOptions,
  account: Account,
): Promise<void> {
  const data = join(directory, 'data');
  const passwordFile = join(directory, 'password');
  rmSync(data, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(passwordFile, state.passwords[admin] ?? '', { mode: 0o600 });
  for (const path of [data, passwordFile]) giveTo(account, path);

  const log = openSync(join(directory, 'server.log'), 'w', 0o600);
  const child = spawn(
    join(bin, 'initdb'),
    [
      `--pgdata=${data}`,
      `--username=${admin}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '-N',
    ],
    { ...account, cwd: directory, env: ENVIRONMENT, stdio: ['ignore', log, log] },
  );
  closeSync(log);
  const [code] = (await once(child, 'exit')) as [number | null];
  rmSync(passwordFile, { force: true });
  if (code !== 0) throw new Error(`initdb failed:\n${logTail(directory)}`);
}

async function launch(
  bin: string,
  directory: string,
  state: State,
  options: ServerOptions,
  account: Account,
): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const child = spawnGuarded(bin, directory, port, options, account);
    if (await untilReady(child, directory))
      return owned(child, describe(directory, port, state, options));
    const tail = logTail(directory);
    const portTaken = /could not bind|already in use/.test(tail);
    if (!portTaken || options.port || attempt === 5) {
      throw new Error(`PostgreSQL ${options.major} did not start:\n${tail}`);
    }
  }
}

function spawnGuarded(
  bin: string,
  directory: string,
  port: number,
  options: ServerOptions,
  account: Account,
): ChildProcess {
  const settings = Object.entries({ ...SETTINGS, ...options.settings, port: String(port) });
  const command = [join(bin, 'postgres'), '-D', join(directory, 'data')];
  for (const [name, value] of settings) command.push('-c', `${name}=${value}`);
  const log = openSync(join(directory, 'server.log'), 'a', 0o600);
  const child = spawn(
    '/bin/sh',
    ['-c', GUARDED_START, 'guardian', ...command],
    // detached: Ctrl-C in the terminal is for node, which wants to roll back first
    {
      ...account,
      cwd: directory,
      env: ENVIRONMENT,
      detached: true,
      stdio: ['ignore', log, log, 'pipe'],
    },
  );
  closeSync(log);
  child.unref();
  const pipe = child.stdio[3] as Socket;
  pipe.unref();
  pipe.on('error', () => {});
  child.once('exit', () => pipe.end('gone\n'));
  return child;
}

async function untilReady(child: ChildProcess, directory: string): Promise<boolean> {
  for (const end = Date.now() + START_MILLISECONDS; Date.now() < end; await sleep(20)) {
    if (child.exitCode !== null || child.signalCode !== null) return false;
    const found = postmaster(directory);
    if (found?.pid === child.pid && found?.ready) return true;
  }
  child.kill('SIGQUIT');
  return false;
}

async function fill(
  server: Server,
  directory: string,
  state: State,
  { prepare }: ServerOptions,
): Promise<void> {
  try {
    await prepare?.(server);
  } catch (error) {
    await server.stop('immediate');
    throw error;
  }
  // the file says that the data is complete: it appears whole, and last
  const file = join(directory, 'state.json');
  writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function describe(
  directory: string,
  port: number,
  state: State,
  { admin = 'postgres' }: ServerOptions,
): Omit<Server, 'stop'> {
  const url = (role: string, database: string): string => {
    const password = state.passwords[role];
    if (!password) throw new Error(`${directory} knows no password of role ${role}`);
    return `postgres://${role}:${password}@127.0.0.1:${port}/${database}`;
  };
  return {
    major: state.major,
    port,
    directory,
    logFile: join(directory, 'server.log'),
    adminUrl: (database = 'postgres') => url(admin, database),
    url,
  };
}

function owned(child: ChildProcess, described: Omit<Server, 'stop'>): Server {
  return {
    ...described,
    async stop(mode = 'fast') {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.ref();
      const exit = once(child, 'exit');
      child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
      const limit = setTimeout(() => child.kill('SIGQUIT'), STOP_MILLISECONDS);
      await exit;
      clearTimeout(limit);
    },
  };
}

async function findRunning(
  directory: string,
  state: State,
  options: ServerOptions,
): Promise<Server | undefined> {
  const found = postmaster(directory);
  if (!found?.ready) return undefined;
  const server = describe(directory, found.port, state, options);
  const sql = postgres(server.adminUrl(), { max: 1, connect_timeout: 3, onnotice: () => {} });
  try {
    // another server may have got the port; the password is of this directory only
    await sql`select 1`;
    return { ...server, stop: async () => {} };
  } catch {
    return undefined;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

// A server whose owner was killed is being stopped by its watcher. A pid file may also be older
// than a restart of the machine and name any process: PostgreSQL would then refuse to start.
async function untilUnused(directory: string): Promise<void> {
  const data = join(directory, 'data');
  for (let waited = 0; ; waited += 100) {
    const found = postmaster(directory);
    if (!found || !isAlive(found.pid)) return;
    if (commandLine(found.pid)?.includes(data) === false) {
      rmSync(join(data, 'postmaster.pid'), { force: true });
      return;
    }
    if (waited > STOP_MILLISECONDS)
      throw new Error(`process ${found.pid} uses ${data} and does not answer`);
    await sleep(100);
  }
}

// postmaster.pid: pid, data directory, start time, port, sockets, address, memory, state
function postmaster(directory: string): { pid: number; port: number; ready: boolean } | undefined {
  try {
    const lines = readFileSync(join(directory, 'data', 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Number(lines[0]), port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' };
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function giveTo(account: Account, path: string): void {
  if (account.uid !== undefined && account.gid !== undefined) {
    chownSync(path, account.uid, account.gid);
  }
}

function logTail(directory: string): string {
  return readFileSync(join(directory, 'server.log'), 'utf8')
    .trim()
    .split('\n')
    .slice(-15)
    .join('\n');
}
