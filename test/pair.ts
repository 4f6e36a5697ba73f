/* Real databases for tests: copies of templates, in embedded servers shared by a whole run. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  connected,
  grantReader,
  loadApplication,
  loadPlatform,
  loadSource,
  removePair,
  startPair,
  type Pair,
} from '../runner/embedded/pair.ts';
import type { Major } from '../runner/embedded/releases.ts';
import { isAlive } from '../runner/embedded/machine.ts';
import { copyServer } from '../runner/embedded/server.ts';
import { ask, UNDER_RUN } from './ask.ts';

/** A source and a target database of one test's own. */
export type TestPair = Urls & {
  /** The releases that were asked for. */
  majors: Majors;
  /** What its target held at first. */
  content: TargetContent;
  /** Drops both databases, ending the sessions in them. */
  drop(): Promise<void>;
};

/** What a source holds: nothing, the tables, the sample rows at a hundredth, or those of test/neutral. */
export type SourceContent = 'empty' | 'schema' | 'sample' | 'neutral';

/**
 * What a target holds: what the platform brings, and the application's tables, or these as the additive schema
 * changes leave them, or those of test/neutral.
 */
export type TargetContent = 'empty' | 'schema' | 'changed' | 'neutral';

/** What a test's databases hold. `neutral` needs a source of release 11 or later. */
export type TestPairOptions = {
  /** Leads the name of both databases. */
  name?: string;
  source?: SourceContent;
  target?: TargetContent;
  /** Its servers, where a test changes what all databases of a server share; default those of the run. */
  servers?: Urls;
} & Majors;

/** The URLs of a pair: `legacy_reader` and `postgres`, and the superusers of both servers. */
export type Urls = Pick<Pair, 'sourceUrl' | 'targetUrl' | 'sourceAdminUrl' | 'targetAdminUrl'>;

/** Releases of the two servers, default as in startPair. */
export type Majors = { sourceMajor?: Major; targetMajor?: Major };

const DISK = fileURLToPath(new URL('../.embedded/', import.meta.url));
/** Files in memory: an eighth of what the tests take goes into making and removing files on a disk. */
const MEMORY = `/dev/shm/legacy-to-supabase-${process.getuid?.() ?? 0}`;
/** What a whole run may come to, and as much again. */
const ROOM = 6 * 2 ** 30;
/** The second project: `neutral` is its sample. */
export const NEUTRAL = fileURLToPath(new URL('neutral', import.meta.url));

let own: ReturnType<typeof openPairs> | undefined;

/** What a target holds where nothing is said of it: the tables of an application, unless its source has none. */
export function targetBeside(source: SourceContent | undefined): TargetContent {
  return source === 'empty' ? 'empty' : 'schema';
}

/**
 * Creates a source and a target database. Under run.ts the servers are those of the run; a file
 * that is run alone starts its own, and removes them when it has nothing left to do.
 */
export async function testPair(options: TestPairOptions): Promise<TestPair> {
  const {
    name = 'test',
    source = 'schema',
    target = targetBeside(source),
    servers: given,
    ...asked
  } = options;
  const majors: Majors = source === 'neutral' ? { sourceMajor: 17, ...asked } : asked;
  const servers =
    given ?? (await (UNDER_RUN ? ask<Urls>({ kind: 'pair', majors }) : ownPairs().get(majors)));
  const database = `${name}_${randomBytes(4).toString('hex')}`;
  await createSource(servers, source, database);
  await createTarget(servers, target, database);
  return {
    majors,
    content: target,
    sourceUrl: within(servers.sourceUrl, database),
    targetUrl: within(servers.targetUrl, database),
    sourceAdminUrl: within(servers.sourceAdminUrl, database),
    targetAdminUrl: within(servers.targetAdminUrl, database),
    async drop() {
      await dropDatabase(servers.sourceAdminUrl, database);
      await dropDatabase(servers.targetAdminUrl, database);
    },
  };
}

/**
 * The sample, migrated: run 1 of `up` is complete, nothing is left to do. A copy of both servers, so that the
 * ledger knows its source; it takes a second instead of the ten of the run.
 */
export async function migratedPair(): Promise<TestPair> {
  const template = await (UNDER_RUN ? ask<string>({ kind: 'migrated' }) : ownPairs().migrated());
  const directory = join(dirname(template), `copy-${randomBytes(4).toString('hex')}`);
  for (const side of ['source', 'target']) copyServer(join(template, side), join(directory, side));
  const pair = await startPair({ directory });
  // what reads through the link alone finds its source where it is now
  await connected(pair.targetAdminUrl, (sql) =>
    sql.unsafe(`alter server legacy_source options (set port '${new URL(pair.sourceUrl).port}')`),
  );
  return {
    ...urlsOf(pair),
    majors: {},
    content: 'changed',
    async drop() {
      await pair.stop();
      removePair(directory);
    },
  };
}

/** Servers of a run, and a folder that goes with them: see kept-children.ts. */
type Pairs = {
  get(majors: Majors): Promise<Urls>;
  /** Where the stopped servers of a sample are that was migrated; made when first asked for. */
  migrated(): Promise<string>;
  answers: string;
  close(): Promise<void>;
};

/**
 * Pairs of servers for as long as this process needs them, each started when it is first asked
 * for, in `test-<pid>` below `.embedded`, or in memory where there is room. `close` stops them and
 * removes their data, and such data of processes that were killed.
 */
export function openPairs(): Pairs {
  const root = join(place(), `test-${process.pid}`);
  const pairs = new Map<string, Promise<Pair>>();
  let migrated: Promise<string> | undefined;
  return {
    answers: join(root, 'answers'),
    async get(majors) {
      const name = `${majors.sourceMajor ?? 'default'}-${majors.targetMajor ?? 'default'}`;
      const pair =
        pairs.get(name) ?? startPair({ ...majors, directory: join(root, name), scale: null });
      pairs.set(name, pair);
      return urlsOf(await pair);
    },
    async migrated() {
      migrated ??= migrateSample(join(root, 'migrated'));
      return migrated;
    },
    async close() {
      for (const pair of await Promise.allSettled(pairs.values())) {
        if (pair.status === 'fulfilled') await pair.value.stop();
      }
      pairs.clear();
      removeRoot(root);
      removeAbandoned();
    },
  };
}

async function migrateSample(directory: string): Promise<string> {
  const pair = await startPair({ directory, scale: '0.01', seed: '1' });
  try {
    const { succeed } = await import('./runner.ts');
    await succeed(pair, ['up']);
  } finally {
    await pair.stop();
  }
  return directory;
}

function urlsOf({ sourceUrl, targetUrl, sourceAdminUrl, targetAdminUrl }: Pair): Urls {
  return { sourceUrl, targetUrl, sourceAdminUrl, targetAdminUrl };
}

async function createSource(
  { sourceAdminUrl }: Urls,
  content: SourceContent,
  name: string,
): Promise<void> {
  const template = `template_source_${content}`;
  await withTemplate(sourceAdminUrl, template, async (url) => {
    await connected(sourceAdminUrl, (sql) => sql`create database ${sql(template)}`);
    await grantReader(url);
    if (content === 'empty') return;
    const scale = content === 'schema' ? null : '0.01';
    await loadSource(url, { scale, seed: '1' }, content === 'neutral' ? NEUTRAL : undefined);
  });
  await connected(
    sourceAdminUrl,
    (sql) => sql`create database ${sql(name)} template ${sql(template)}`,
  );
  // grants on a database are not copied with it
  await grantReader(within(sourceAdminUrl, name));
}

async function createTarget(urls: Urls, content: TargetContent, name: string): Promise<void> {
  const { targetAdminUrl, targetUrl } = urls;
  const template = `template_target_${content}`;
  await withTemplate(targetAdminUrl, template, async (url) => {
    if (content === 'changed') {
      await createTarget(urls, 'schema', template);
      const { changeSchema } = await import('./runner.ts');
      await changeSchema({ targetUrl: within(targetUrl, template) });
      return;
    }
    await createDatabase(targetAdminUrl, template);
    await loadPlatform(url);
    const owned = within(targetUrl, template);
    if (content !== 'empty') {
      await loadApplication(owned, content === 'neutral' ? NEUTRAL : undefined);
    }
  });
  await createDatabase(targetAdminUrl, name, template);
}

/** A database that belongs to `postgres`, as on the platform. */
async function createDatabase(adminUrl: string, name: string, template?: string): Promise<void> {
  await connected(adminUrl, async (sql) => {
    if (template === undefined) await sql`create database ${sql(name)}`;
    else await sql`create database ${sql(name)} template ${sql(template)} owner postgres`;
    // settings of a database are not copied with it
    await sql`alter database ${sql(name)} set search_path to "$user", public, extensions`;
  });
}

// Has `load` make a template once per server. The flag is set last: without it the template is incomplete.
async function withTemplate(
  adminUrl: string,
  name: string,
  load: (url: string) => Promise<void>,
): Promise<void> {
  await connected(adminUrl, async (sql) => {
    await sql`select pg_advisory_lock(hashtext(${name}))`;
    const [found] = await sql`select datistemplate from pg_database where datname = ${name}`;
    if (found?.['datistemplate']) return;
    if (found) await sql`drop database ${sql(name)}`;
    await load(within(adminUrl, name));
    await sql`alter database ${sql(name)} with is_template true allow_connections false`;
  });
}

async function dropDatabase(adminUrl: string, name: string): Promise<void> {
  await connected(adminUrl, async (sql) => {
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`;
    await sql`drop database ${sql(name)}`;
  });
}

function within(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

function place(): string {
  try {
    const { bavail, bsize } = statfsSync(dirname(MEMORY));
    if (bavail * bsize >= ROOM) return MEMORY;
  } catch {
    // not every system has it
  }
  return DISK;
}

function removeAbandoned(): void {
  for (const folder of [DISK, MEMORY]) {
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const pid = /^test-(\d+)$/.exec(name)?.[1];
      if (pid && !isAlive(Number(pid))) removeRoot(join(folder, name));
    }
  }
}

function removeRoot(root: string): void {
  if (!existsSync(root)) return;
  for (const name of readdirSync(root)) removePair(join(root, name));
  rmSync(root, { recursive: true, force: true });
}

function ownPairs(): ReturnType<typeof openPairs> {
  if (own) return own;
  const pairs = openPairs();
  const close = (then: () => void): void => {
    pairs
      .close()
      .catch((error: unknown) => console.error(error))
      .finally(then);
  };
  process.once('beforeExit', () => close(() => {}));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => close(() => process.exit(130)));
  }
  own = pairs;
  return pairs;
}
