import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import postgres, { type Sql } from 'postgres';
import { PACKAGE } from '../project.ts';
import type { Major } from './releases.ts';
import { fillSource, fillTarget, releaseOf, type Sample } from './sample.ts';
import { labelOf, removeServer, startServer, type Server } from './server.ts';

/** Two running servers: a legacy source and a stand-in for the platform. */
export type Pair = {
  source: Server;
  target: Server;
  /** `legacy_reader` in `legacy`: may connect and select, nothing else. */
  sourceUrl: string;
  /** `postgres` in `app`: owns the database, is no superuser. */
  targetUrl: string;
  sourceAdminUrl: string;
  targetAdminUrl: string;
  /** Stops both; a server that another process started is left running. */
  stop(): Promise<void>;
};

/** What a pair is started with. */
export type PairOptions = {
  directory: string;
  /** Whose sample fills it; default: the package, where that is a project. */
  project?: string;
  sourceMajor?: Major;
  targetMajor?: Major;
  /**
   * Size of the sample data, '1' being the size of the real database; null = no tables at all.
   * Left out: whatever the directory holds, a hundredth when it is new.
   */
  scale?: string | null;
  seed?: string;
  /** Server settings of the target on top of ours, as long as this process has started it. */
  targetSettings?: Record<string, string>;
};

/** What the platform brings, and the accounts: the same for every project. */
const PLATFORM = fileURLToPath(new URL('platform/', import.meta.url));

/**
 * Starts source and target at once, in `directory`; the first time they are made and filled with
 * sample data. Throws when the directory holds data of another release, scale or seed.
 */
export async function startPair(options: PairOptions): Promise<Pair> {
  const sourceDirectory = join(options.directory, 'source');
  const targetDirectory = join(options.directory, 'target');
  const { project = PACKAGE } = options;
  const sample = sampleOf(sourceDirectory, options);
  const starts = await Promise.allSettled([
    startServer({
      major: options.sourceMajor ?? releaseOf(project),
      directory: sourceDirectory,
      admin: 'legacy_admin',
      roles: ['legacy_reader'],
      label: JSON.stringify(sample),
      prepare: (server) => prepareSource(server, project, sample),
    }),
    startServer({
      major: options.targetMajor ?? 17,
      directory: targetDirectory,
      admin: 'supabase_admin',
      roles: ['postgres'],
      label: JSON.stringify(sample),
      settings: options.targetSettings ?? {},
      prepare: (server) => prepareTarget(server, project, sample),
    }),
  ]);
  const [source, target] = starts;
  if (source.status === 'rejected' || target.status === 'rejected') {
    for (const start of starts) if (start.status === 'fulfilled') await start.value.stop();
    throw source.status === 'rejected' ? source.reason : (target as PromiseRejectedResult).reason;
  }
  return describe(source.value, target.value);
}

/** Removes the data of a stopped pair. */
export function removePair(directory: string): void {
  removeServer(join(directory, 'source'));
  removeServer(join(directory, 'target'));
  removeServer(directory);
}

/** Creates the tables of a project's source in an empty database and, with a scale, their rows. */
export async function loadSource(
  adminUrl: string,
  sample: Sample,
  project = PACKAGE,
): Promise<void> {
  await connected(adminUrl, (sql) => fillSource(sql, project, sample));
}

/** Creates what the platform brings (roles, schemas auth and extensions) in one database. */
export async function loadPlatform(adminUrl: string): Promise<void> {
  await connected(adminUrl, (sql) => sql.file(join(PLATFORM, 'supabase.sql')));
}

/** Creates the application's tables, as the role `postgres`. */
export async function loadApplication(targetUrl: string, project = PACKAGE): Promise<void> {
  await connected(targetUrl, (sql) => fillTarget(sql, project));
}

/** Lets `legacy_reader` read a source database, now and later, and do nothing else in it. */
export async function grantReader(adminUrl: string): Promise<void> {
  await connected(adminUrl, (sql) => sql.file(join(PLATFORM, 'reader.sql')));
}

function sampleOf(sourceDirectory: string, { scale, seed }: PairOptions): Sample {
  const held = JSON.parse(labelOf(sourceDirectory) ?? '{}') as Partial<Sample>;
  return {
    scale: scale === undefined ? (held.scale === undefined ? '0.01' : held.scale) : scale,
    seed: seed ?? held.seed ?? '1',
  };
}

async function prepareSource(server: Server, project: string, sample: Sample): Promise<void> {
  await createLogin(server, 'legacy_reader');
  await connected(server.adminUrl(), (sql) => sql`create database legacy`);
  if (sample.scale !== null) await loadSource(server.adminUrl('legacy'), sample, project);
  await grantReader(server.adminUrl('legacy'));
}

async function prepareTarget(server: Server, project: string, sample: Sample): Promise<void> {
  await createLogin(server, 'postgres');
  await connected(server.adminUrl(), (sql) => sql`create database app`);
  await loadPlatform(server.adminUrl('app'));
  if (sample.scale !== null) await loadApplication(server.url('postgres', 'app'), project);
}

async function createLogin(server: Server, role: string): Promise<void> {
  await connected(server.adminUrl(), async (sql) => {
    const password = new URL(server.url(role, 'postgres')).password;
    await sql`select set_config('embedded.role', ${role}, false),
                     set_config('embedded.password', ${password}, false)`;
    await sql.file(join(PLATFORM, 'login.sql'));
  });
}

/** A connection of its own for some work. */
export async function connected(url: string, work: (sql: Sql) => Promise<unknown>): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await work(sql);
  } finally {
    await sql.end();
  }
}

function describe(source: Server, target: Server): Pair {
  return {
    source,
    target,
    sourceUrl: source.url('legacy_reader', 'legacy'),
    targetUrl: target.url('postgres', 'app'),
    sourceAdminUrl: source.adminUrl('legacy'),
    targetAdminUrl: target.adminUrl('app'),
    async stop() {
      await Promise.all([source.stop(), target.stop()]);
    },
  };
}
