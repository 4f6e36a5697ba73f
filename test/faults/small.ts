/* Migrations small enough to be killed at each of their protocol messages. */
import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { contextOf } from '../../runner/commands/context.ts';
import { down } from '../../runner/commands/down.ts';
import { type Endpoint, parseUrl } from '../../runner/config.ts';
import { connect } from '../../runner/database.ts';
import { grantReader, loadSource } from '../../runner/embedded/pair.ts';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { install } from '../../runner/engine/ledger.ts';
import { type Interrupt, runUp, type UpOptions } from '../../runner/engine/run.ts';
import { testPair, type TestPair, type TestPairOptions, type Urls } from '../pair.ts';
import {
  changeSchema,
  type Databases,
  neutralProject,
  open,
  type Scratch,
  scratch,
} from '../runner.ts';

/** A migration with all that happens to it. */
export interface Small {
  /** A copy of its project, with the part of the entities that is migrated. */
  project(): Scratch;
  /** What the databases hold at first. */
  content: Pick<TestPairOptions, 'source' | 'target'>;
  /** Fills the source, where `content` does not. */
  load?(pair: TestPair): Promise<void>;
  /** Keys per range: the batch phase has several ranges, and with pieceRows 1 as many commits. */
  widths: Record<string, number>;
  /** In the target: rows that the application has before the first run. */
  theirs?: string;
  /** In the source: rows inserted, updated and deleted, in ranges of their own and in the same. */
  changes: string;
  /** In the target: what the application did since the first run. */
  edits: string;
}

/** Of the first project three phases and the archive; the third commits range by range. Closed under `ids.<entity>`. */
const ENTITIES = [
  ...['offices', 'profiles', 'categories'],
  ...['doctor_offices'],
  ...['user_actions', 'auth_user_password'],
];
/** Data checks of the first project that look only at what these entities write. */
const CHECKS = ['no_secrets.sql'];

/** A part of the first project. */
export const FIRST: Small = {
  project: smallProject,
  content: { source: 'empty', target: 'schema' },
  load: async ({ sourceAdminUrl }) => {
    await loadSource(sourceAdminUrl, { scale: '0.001', seed: '1' });
    await grantReader(sourceAdminUrl);
  },
  widths: { dispatch_action: 45 },
  changes: `
    update dispatch_action set data = 'changed' where id % 9 = 0;
    delete from dispatch_action where id % 50 = 3;
    insert into dispatch_action (action, date, user_id)
    select 'new', timestamptz '2025-01-01', (select max(id) from auth_user) from generate_series(1, 3);
    delete from dispatch_office_doctors where id = (select max(id) from dispatch_office_doctors);
    update auth_user set first_name = 'changed' where id % 3 = 0;
    update dispatch_category set name = concat(name, ' changed') where id % 3 = 0`,
  edits: `
    update public.profiles set first_name = 'edited' where legacy_user_id % 2 = 0;
    update public.user_actions set action_data = 'edited' where legacy_action_id % 6 = 0;
    delete from public.user_actions where legacy_action_id = 18`,
};

/** The second project as it is: keys of every kind, ids of the source, parts, rows that are adopted. */
export const NEUTRAL: Small = {
  project: neutralProject,
  content: { source: 'neutral', target: 'neutral' },
  widths: { rental: 1000 },
  theirs: `
    insert into public.languages (id, legacy_language_id, name)
    values ('00000000-0000-4000-8000-000000000001', 1, 'english');
    insert into public.countries (id, code, name)
    values ('00000000-0000-4000-8000-000000000002', 'AT', 'Österreich');
    insert into public.customers (id, legacy_customer_id, first_name, last_name)
    values ('00000000-0000-4000-8000-000000000003', 4, 'theirs', 'theirs');
    insert into public.contacts (id, customer_id, kind, phone)
    values ('00000000-0000-4000-8000-000000000004', '00000000-0000-4000-8000-000000000003', 'work', '0')`,
  changes: `
    insert into country values ('NZ', 'New Zealand', null);
    update country set name = concat(name, ' changed'), part_of = 'NZ' where code in ('a', '(1)');
    update film set title = concat(title, ' changed'), withdrawn = film_id % 2 = 0 where film_id % 45 = 0;
    insert into actor values (md5('actor 999')::uuid, 'First 999', 'Last 999', null);
    update actor set last_name = 'changed' where first_name = 'Zoë';
    update film_actor set part = 'changed' where film_id % 10 = 0;
    delete from film_actor where film_id % 100 = 1;
    update "Customer" set "EMail" = format('Customer.%s@example.com', 3 - "CustomerId")
    where "CustomerId" in (1, 2);
    update "Customer" set "HomePhone" = '+43 1 new', "WorkPhone" = null where "CustomerId" % 12 = 0;
    delete from "Customer" where "CustomerId" = 198;
    update rental set returned_at = rented_at + interval '3 days' where rental_id % 370 = 0;
    delete from rental where rental_id = 4500;
    insert into rental select n, n % 300, n % 200, timestamptz '2025-01-01', null
    from generate_series(4511, 4531, 10) as n;
    update billing.payment set paid_on = paid_on + 1 where payment_id % 50 = 0;
    insert into billing.payment values (6000000000, '2023-12-31', 4511, 1.5, 'card');
    update billing.price_list set remark = 'changed' where price_code like '%5';
    refresh materialized view billing.customer_totals`,
  edits: `
    update public.films set title = 'edited' where legacy_film_id % 30 = 0;
    update public.customers set first_name = 'edited' where legacy_customer_id % 8 = 0;
    update public.contacts set phone = 'edited' where kind = 'work' and phone like '%2';
    update public.rentals set returned_at = null where legacy_rental_id % 740 = 0;
    delete from public.contacts where phone like '+43 1 1019%'`,
};

/** Where an interruption can come from. */
const INTERRUPT: Interrupt = { requested: false, cancel: () => {} };

/** What a process needs to run the small migration. */
export interface Job extends Databases {
  root: string;
  jobs: number;
}

/**
 * What a run finds. `first`: nothing is migrated yet. `again`: source and target changed since the first run.
 * `down`: all is migrated, and what runs is no `up` but a `down` of everything.
 */
export type State = 'first' | 'again' | 'down';

/** Databases to start from. */
export interface Templates {
  root: string;
  /** A source database: a copy of its own for a first run, otherwise the one and only. */
  source(state: State): Promise<Pick<Urls, 'sourceUrl' | 'sourceAdminUrl'>>;
  /** Makes a target database. */
  target(state: State): Promise<Pick<Urls, 'targetUrl' | 'targetAdminUrl'>>;
  /** Drops such a database, ending the sessions in it. */
  drop(adminUrl: string): Promise<void>;
  remove(): Promise<void>;
}

/** The small migration, in this process. Returns the number of the run. */
export function upSmall(job: Job, interrupt = INTERRUPT): Promise<number> {
  const catalog = readCatalog(job.root);
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

/** The command `down` of the first phase and all that stands on it, in this process. */
export async function downSmall({ root, sourceUrl, targetUrl }: Job): Promise<void> {
  const [phase] = readCatalog(root).phases;
  const values = new Map<string, string | true>([['project', root]]);
  for (const option of ['cascade', 'yes', 'json']) values.set(option, true);
  const context = contextOf(
    { command: down, positionals: [phase?.name ?? ''], values },
    INTERRUPT,
    { urls: { source: sourceUrl, target: targetUrl } },
  );
  try {
    assert.is(await down.run(context), 0);
  } finally {
    await context.end();
  }
}

/**
 * Prepares what is copied for each case. Target `first`: ledger and schema changes, and no rows but those of
 * the application; its source is `pair`. Target `again`: migrated once, then edited by the application; its
 * source changed as well. Target `down`: of this source, migrated once, with no edits; made when asked for.
 */
export async function prepare(small = FIRST): Promise<Templates> {
  const pair = await testPair({ name: 'small', ...small.content });
  const project = small.project();
  const { root } = project;
  await small.load?.(pair);
  await changeSchema(pair, root);
  const session = await connect(endpoint(pair.targetUrl), 'prepare');
  await install(session, readCatalog(root));
  for (const [table, width] of Object.entries(small.widths)) {
    await session.query(
      'insert into migration.source_tables (source_table, width) values ($1, $2)',
      [table, width],
    );
  }
  if (small.theirs !== undefined) await session.batch([small.theirs]);
  await session.close();

  const unchanged = await copyDatabase(pair.sourceAdminUrl, pair.sourceAdminUrl, 'small_first');
  const migrated = async (name: string): Promise<string> => {
    const adminUrl = await copyDatabase(pair.targetAdminUrl, pair.targetAdminUrl, name);
    const targetUrl = within(pair.targetUrl, adminUrl);
    await upSmall({ root, sourceUrl: pair.sourceUrl, targetUrl, jobs: 1 });
    return adminUrl;
  };
  const edited = await migrated('small_again');
  // changed where it stands: versions of a copy count for nothing
  const [source, target] = [open(pair.sourceAdminUrl), open(edited)];
  await source.unsafe(small.changes);
  await target.unsafe(small.edits);
  await source.end();
  await target.end();

  let settled: Promise<string> | undefined;
  const targetOf = (state: State): string | Promise<string> => {
    if (state === 'down') return (settled ??= migrated('small_down'));
    return state === 'first' ? pair.targetAdminUrl : edited;
  };
  return {
    root,
    source: async (state) => {
      if (state !== 'first') return pair;
      const sourceAdminUrl = await copyDatabase(pair.sourceAdminUrl, unchanged, 'small');
      await grantReader(sourceAdminUrl);
      return { sourceAdminUrl, sourceUrl: within(pair.sourceUrl, sourceAdminUrl) };
    },
    target: async (state) => {
      const targetAdminUrl = await copyDatabase(
        pair.targetAdminUrl,
        await targetOf(state),
        'small',
      );
      return { targetAdminUrl, targetUrl: within(pair.targetUrl, targetAdminUrl) };
    },
    drop: async (url) => {
      if (url !== pair.sourceAdminUrl) await dropDatabase(url);
    },
    remove: async () => {
      await dropDatabase(unchanged);
      await dropDatabase(edited);
      if (settled !== undefined) await dropDatabase(await settled);
      await pair.drop();
      project.remove();
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

/** A copy of the first project with a part of the entities, so that a run takes a second or two. */
function smallProject(): Scratch {
  const project = scratch();
  for (const name of readdirSync(join(project.root, 'sql'), {
    recursive: true,
    encoding: 'utf8',
  })) {
    const entity = /(?:[1-7]-\w+\/\d+_|archive\/)(\w+)\.sql$/.exec(name)?.[1];
    if (entity !== undefined && !ENTITIES.includes(entity)) {
      rmSync(join(project.root, 'sql', name));
    }
  }
  for (const name of readdirSync(join(project.root, 'checks'))) {
    if (name.endsWith('.sql') && !CHECKS.includes(name)) rmSync(join(project.root, 'checks', name));
  }
  for (const name of readdirSync(join(project.root, 'checks/before'))) {
    rmSync(join(project.root, 'checks/before', name));
  }
  return project;
}

/** `url` with the database of another one, or of a path. */
function within(url: string, other: string): string {
  const changed = new URL(url);
  changed.pathname = other.startsWith('/') ? other : new URL(other).pathname;
  return changed.href;
}

function endpoint(url: string): Endpoint {
  const found = parseUrl(url);
  if (typeof found === 'string') throw new Error(found);
  return found;
}
