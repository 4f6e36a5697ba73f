import postgres, { type Sql } from 'postgres';
import { connected, grantReader, type Pair } from '../../runner/embedded/pair.ts';
import type { Urls } from '../pair.ts';

/** The databases of one contender in one round. */
export type Place = Urls & {
  pair: Pair;
  /** Drops what was made for it. */
  drop(): Promise<void>;
};

/** What a contender asks for besides the sample source and the application's tables. */
export type Wishes = {
  /** A source of its own, because it changes it. */
  ownSource?: boolean;
  /** A target without any table. */
  emptyTarget?: boolean;
};

const NAME = 'bench_round';

/**
 * New databases, copied from those of the pair, which nobody changes: every contender begins with
 * the same state, on servers that have nothing left to write.
 */
export async function freshPlace(pair: Pair, wishes: Wishes): Promise<Place> {
  const [source, target] = [pair.source.adminUrl(), pair.target.adminUrl()];
  const drop = async () => {
    await dropDatabase(source);
    await dropDatabase(target);
  };
  await drop();
  if (wishes.ownSource) {
    await connected(source, (sql) => sql.unsafe(copyOf('legacy', pair.source.major)));
    await grantReader(pair.source.adminUrl(NAME));
  }
  await connected(target, async (sql) => {
    const template = wishes.emptyTarget ? 'template0' : 'app';
    await sql.unsafe(`${copyOf(template, pair.target.major)} owner postgres`);
    await sql.unsafe(`alter database ${NAME} set search_path to "$user", public, extensions`);
  });
  for (const url of [source, target]) await connected(url, (sql) => sql`checkpoint`);
  const legacy = wishes.ownSource ? NAME : 'legacy';
  return {
    pair,
    sourceUrl: pair.source.url('legacy_reader', legacy),
    sourceAdminUrl: pair.source.adminUrl(legacy),
    targetUrl: pair.target.url('postgres', NAME),
    targetAdminUrl: pair.target.adminUrl(NAME),
    drop,
  };
}

/** One connection, with settings of the session. */
export function session(url: string, settings: Record<string, string> = {}): Sql {
  return postgres(url, { max: 1, onnotice: () => {}, connection: settings });
}

/** How many rows each of these tables holds. */
export async function countRows(url: string, tables: string[]): Promise<Map<string, number>> {
  const sql = session(url);
  const counts = new Map<string, number>();
  for (const table of tables) {
    const [row] = await sql<{ rows: number }[]>`
      select count(*)::float8 as rows from ${sql(table)}`;
    counts.set(table, row?.rows ?? 0);
  }
  await sql.end();
  return counts;
}

// files are copied from release 15 on only when asked: else every page goes through the log
function copyOf(template: string, major: number): string {
  const strategy = major >= 15 ? ' strategy file_copy' : '';
  return `create database ${NAME} template ${template}${strategy}`;
}

async function dropDatabase(url: string): Promise<void> {
  await connected(url, async (sql) => {
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${NAME}`;
    await sql.unsafe(`drop database if exists ${NAME}`);
  });
}
