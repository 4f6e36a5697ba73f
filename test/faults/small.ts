/* A migration small enough to be killed at each of its protocol messages: part of the entities. */
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Catalog, readCatalog } from '../../runner/engine/catalog.ts';
import { type Endpoint, parseUrl } from '../../runner/config.ts';
import { install } from '../../runner/engine/ledger.ts';
import { connect } from '../../runner/database.ts';
import { grantReader, loadSource } from '../../runner/embedded/pair.ts';
import { runUp, type UpOptions } from '../../runner/engine/run.ts';
import { testPair, type Urls } from '../pair.ts';
import { changeSchema, type Databases, open, ROOT } from '../runner.ts';

/** Three phases and the archive; the third commits range by range. Closed under `ids.<entity>`. */
const ENTITIES = [
  ...['offices', 'profiles', 'categories'],
  ...['doctor_offices'],
  ...['user_actions'],
];
const ARCHIVE = ['legacy_archive.auth_user_password'];
/** Data checks of the project that look only at what these entities write. */
export const CHECKS = ['no_secrets.sql'];
/** Keys per range: the batch phase has several ranges, and with pieceRows 1 as many commits. */
const WIDTHS = { dispatch_action: 45 };

/** In the source: rows inserted, updated and deleted, in ranges of their own and in the same. */
const CHANGES = `
  update dispatch_action set data = 'changed' where id % 9 = 0;
  delete from dispatch_action where id % 50 = 3;
  insert into dispatch_action (action, date, user_id)
  select 'new', timestamptz '2025-01-01', (select max(id) from auth_user) from generate_series(1, 3);
  delete from dispatch_office_doctors where id = (select max(id) from dispatch_office_doctors);
  update auth_user set first_name = 'changed' where id % 3 = 0;
  update dispatch_category set name = concat(name, ' changed') where id % 3 = 0`;
/** In the target: what the application did since the first run. */
const EDITS = `
  update public.profiles set first_name = 'edited' where legacy_user_id % 2 = 0;
  update public.user_actions set action_data = 'edited' where legacy_action_id % 6 = 0;
  delete from public.user_actions where legacy_action_id = 18`;

/** What a process needs to run the small migration. */
export interface Job extends Databases {
  root: string;
  jobs: number;
}

/** `first`: nothing is migrated yet. `again`: source and target changed since the first run. */
export type State = 'first' | 'again';

/** Databases to start from. */
export interface Templates {
  root: string;
  /** A source database: a copy of its own for a first run, the one and only for a later one. */
  source(state: State): Promise<Pick<Urls, 'sourceUrl' | 'sourceAdminUrl'>>;
  /** Makes a target database. */
  target(state: State): Promise<Pick<Urls, 'targetUrl' | 'targetAdminUrl'>>;
  /** Drops such a database, ending the sessions in it. */
  drop(adminUrl: string): Promise<void>;
  remove(): Promise<void>;
}

/** The small migration, in this process. Returns the number of the run. */
export function upSmall(job: Job, interrupt = { requested: false, cancel: () => {} }) {
  const catalog = smallCatalog();
  const options: UpOptions = {
    root: job.root,
    config: Object.freeze({
      source: endpoint(job.sourceUrl),
      target: endpoint(job.targetUrl),
      jobs: job.jobs,
      rejectTolerance: 0.5,
    }),
    catalog,
    phases: catalog.phases,
    archive: true,
    dryRun: false,
    full: false,
    jobs: job.jobs,
    policy: 'source',
    removeMany: true,
    pieceRows: 1,
    applySchema: () => Promise.resolve([]),
    report: () => {},
    remark: () => {},
    interrupt,
  };
  return runUp(options);
}

/** Names of the tables of schema `ids` that the small migration has. */
export function smallEntities(): string[] {
  return ENTITIES;
}

/**
 * Prepares what is copied for each case. Target `first`: ledger and schema changes, no rows; its
 * source is `pair`. Target `again`: migrated once, then edited by the application; its source
 * changed as well.
 */
export async function prepare(): Promise<Templates> {
  const pair = await testPair({ name: 'small', source: 'empty' });
  const root = smallRoot();
  await loadSource(pair.sourceAdminUrl, { scale: '0.001', seed: '1' });
  await grantReader(pair.sourceAdminUrl);
  await changeSchema(pair);
  const session = await connect(endpoint(pair.targetUrl), 'prepare');
  await install(session, smallCatalog());
  for (const [table, width] of Object.entries(WIDTHS)) {
    await session.query(
      'insert into migration.source_tables (source_table, width) values ($1, $2)',
      [table, width],
    );
  }
  await session.close();

  const unchanged = await copyDatabase(pair.sourceAdminUrl, pair.sourceAdminUrl, 'small_first');
  const edited = await copyDatabase(pair.targetAdminUrl, pair.targetAdminUrl, 'small_again');
  const editedUrl = within(pair.targetUrl, edited);
  await upSmall({ root, sourceUrl: pair.sourceUrl, targetUrl: editedUrl, jobs: 1 });
  // changed where it stands: versions of a copy count for nothing
  const [source, target] = [open(pair.sourceAdminUrl), open(edited)];
  await source.unsafe(CHANGES);
  await target.unsafe(EDITS);
  await source.end();
  await target.end();

  const targets = { first: pair.targetAdminUrl, again: edited };
  return {
    root,
    source: async (state) => {
      if (state === 'again') return pair;
      const sourceAdminUrl = await copyDatabase(pair.sourceAdminUrl, unchanged, 'small');
      await grantReader(sourceAdminUrl);
      return { sourceAdminUrl, sourceUrl: within(pair.sourceUrl, sourceAdminUrl) };
    },
    target: async (state) => {
      const targetAdminUrl = await copyDatabase(pair.targetAdminUrl, targets[state], 'small');
      return { targetAdminUrl, targetUrl: within(pair.targetUrl, targetAdminUrl) };
    },
    drop: async (url) => {
      if (url !== pair.sourceAdminUrl) await dropDatabase(url);
    },
    remove: async () => {
      await dropDatabase(unchanged);
      await dropDatabase(edited);
      await pair.drop();
      rmSync(root, { recursive: true });
    },
  };
}

/** Copies the database of `fromUrl`, in which nobody may be; the URL of the copy. */
async function copyDatabase(adminUrl: string, fromUrl: string, name: string): Promise<string> {
  const copy = `${name}_${randomBytes(4).toString('hex')}`;
  const sql = open(within(adminUrl, '/postgres'));
  try {
    // whoever was in it last may take a moment to leave
    for (let attempt = 1; ; attempt += 1) {
      try {
        await sql`create database ${sql(copy)} template ${sql(new URL(fromUrl).pathname.slice(1))}`;
        break;
      } catch (error) {
        if ((error as { code?: string }).code !== '55006' || attempt > 50) throw error;
        await sleep(100);
      }
    }
    // owner and settings of a database are not copied with it
    if (new URL(adminUrl).username === 'supabase_admin') {
      await sql`alter database ${sql(copy)} owner to postgres`;
      await sql`alter database ${sql(copy)} set search_path to "$user", public, extensions`;
    }
  } finally {
    await sql.end();
  }
  return within(adminUrl, `/${copy}`);
}

async function dropDatabase(url: string): Promise<void> {
  const name = new URL(url).pathname.slice(1);
  const sql = open(within(url, '/postgres'));
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`;
  await sql`drop database ${sql(name)}`;
  await sql.end();
}

/** Only the data checks that the small migration satisfies; nothing before the first write. */
function smallRoot(): string {
  const root = mkdtempSync(join(tmpdir(), 'small-'));
  mkdirSync(join(root, 'checks', 'before'), { recursive: true });
  for (const file of CHECKS) cpSync(join(ROOT, 'checks', file), join(root, 'checks', file));
  return root;
}

/** `url` with the database of another one, or of a path. */
function within(url: string, other: string): string {
  const changed = new URL(url);
  changed.pathname = other.startsWith('/') ? other : new URL(other).pathname;
  return changed.href;
}

function smallCatalog(): Catalog {
  const { phases, archive, ...rest } = readCatalog(ROOT);
  return {
    ...rest,
    phases: phases
      .map((phase) => ({
        ...phase,
        entities: phase.entities.filter(({ name }) => ENTITIES.includes(name)),
      }))
      .filter(({ entities }) => entities.length > 0),
    archive: archive.filter(({ name }) => ARCHIVE.includes(name)),
  };
}

function endpoint(url: string): Endpoint {
  const found = parseUrl(url);
  if (typeof found === 'string') throw new Error(found);
  return found;
}
