import type { Endpoint } from '../config.ts';
import { CouldNotConnect, failureOf, placeOf, type Session } from '../database.ts';
import { throughLink } from '../connection/source.ts';
import { literal } from '../quote.ts';
import { question } from './question.ts';
import type { Settings } from './settings.ts';
import { type Catalog, sourceTables } from './catalog.ts';
import { keysOf } from './keys.ts';

/**
 * What every session in the source runs with: read only, values printed one way, limits on every
 * wait. `idle_in_transaction_session_timeout` and `tcp_user_timeout` are added where the source knows
 * them (from 9.6 and 12 on).
 */
const SETTINGS = [
  'default_transaction_read_only=on',
  'row_security=off',
  'search_path=pg_catalog',
  'timezone=UTC',
  'datestyle=ISO',
  'statement_timeout=50000',
  'lock_timeout=10000',
  // a target that is not there any more leaves no session behind
  'tcp_keepalives_idle=10',
  'tcp_keepalives_interval=5',
  'tcp_keepalives_count=3',
];

/**
 * Gives this session what `open_link` needs; by COPY, so that no statement holds the secret. From now
 * on no transaction of it leaves a connection to the source: close_link ends it, or what is sent here.
 */
export async function login(session: Session, source: Endpoint): Promise<void> {
  session.afterRollback(question('leave_source'));
  await session.query(question('login'));
  await session.copyIn('pg_temp.link_login', [[source.user, source.password.reveal()]]);
}

/** Opens the link where the transaction has not opened it yet, waiting for it; closes it before COMMIT. */
export const AWAIT_LINK = 'select migration.await_link()';
export const CLOSE_LINK = 'select migration.close_link()';
/** This transaction reads beside another one. */
export const BESIDE = `select pg_catalog.set_config('migration.reader', 'second', true)`;
/** The ways through which two transactions may read at a time, by what opens them. */
export const WAYS: readonly [string[], string[]] = [[AWAIT_LINK], [BESIDE, AWAIT_LINK]];

/** The second way is closed: another command reads this way, or the source has no connection to spare. */
export function isWayClosed(error: unknown): boolean {
  const code = failureOf(error)?.code;
  return code === 'MIG03' || code === '08001';
}

/** `login` of a session that reads beside another one; until its transaction ends. */
export async function loginBeside(session: Session, source: Endpoint): Promise<void> {
  await login(session, source);
  await readBeside(session);
}

/** This transaction, of a session that has its login, reads beside another one. */
export async function readBeside(session: Session): Promise<void> {
  await session.query(BESIDE);
}

/** What the files say of the link. */
export function linkBasis(catalog: Catalog): LinkBasis {
  return {
    tables: sourceTables(catalog),
    keys: keysOf([...catalog.phases.flatMap(({ entities }) => entities), ...catalog.archive]),
    secrets: catalog.settings.secrets,
  };
}

/** The columns of source tables whose key is one whole number, by table; the link is built. */
export async function numberKeys(session: Session): Promise<Map<string, string>> {
  const rows = await session.query<{ source_table: string; by: string }>(
    'select * from migration.number_keys()',
  );
  return new Map(rows.map(({ source_table: table, by }) => [table, by]));
}

/** What the link is made of: source tables, and by table the columns of its key, and its secrets. */
export interface LinkBasis {
  tables: string[];
  keys: Record<string, string[]>;
  secrets: Settings['secrets'];
}

/**
 * Makes server, foreign tables and version tables anew, in the transaction of the caller; leaves
 * the link open. Views of schema transform fall with the server and are made again by the caller.
 * Returns the tables that the source does not have, or the reader may not see. Throws CouldNotConnect.
 */
export async function buildLink(
  session: Session,
  source: Endpoint,
  { tables, keys, secrets }: LinkBasis,
): Promise<string[]> {
  const server = serverOptions(source);
  const settings = SETTINGS.map((setting) => `-c ${setting}`).join(' ');
  await firstContact(
    session,
    source,
    `select migration.build_link(${literal(JSON.stringify(server))}, ${literal(settings)},
       ${literal(listOf(tables))}, ${literal(JSON.stringify(keys))},
       ${literal(JSON.stringify(secrets))})`,
  );
  const [row] = await session.query<{ missing: string[] }>(
    'select migration.missing_tables($1) as missing',
    [tables],
  );
  return row?.missing ?? [];
}

/**
 * Lets the link of the last run lead to where the source is now, in a transaction that will be
 * rolled back: commands that only read do not build it anew.
 */
export async function pointLink(session: Session, source: Endpoint): Promise<void> {
  await session.query('select migration.point_link($1::text::jsonb)', [
    JSON.stringify(serverOptions(source)),
  ]);
}

/**
 * Opens the link of the last run, if it and all that stands on it were built of the same files,
 * source tables and target tables; otherwise returns false, and it has to be built.
 */
export async function openPrepared(
  session: Session,
  source: Endpoint,
  { files, tables, targets }: { files: string; tables: string[]; targets: string[] },
): Promise<boolean> {
  const rows = await firstContact(
    session,
    source,
    `select migration.open_prepared(${literal(JSON.stringify(serverOptions(source)))},
       ${literal(files)}, ${literal(listOf(tables))}, ${literal(listOf(targets))}) as ready`,
  );
  return rows.some((row) => row['ready'] === true);
}

/** Names as the text of an array. */
function listOf(names: string[]): string {
  return `{${names.map((name) => JSON.stringify(name)).join(',')}}`;
}

/**
 * A source that accepts and says nothing: connect_timeout has no effect in dblink of release 17, so
 * the target waits a minute. Throws CouldNotConnect.
 */
async function firstContact(
  session: Session,
  source: Endpoint,
  call: string,
): Promise<Record<string, unknown>[]> {
  try {
    return await throughLink(source, () =>
      session.batch([
        `set local statement_timeout = '60s'`,
        call,
        `set local statement_timeout = '30min'`,
      ]),
    );
  } catch (error) {
    const { code, message } = failureOf(error) ?? {};
    if (code !== '57014') throw error;
    throw new CouldNotConnect('source', { place: placeOf(source), code, said: message ?? '' });
  }
}

function serverOptions(source: Endpoint): Record<string, string> {
  const options: Record<string, string> = {
    host: source.host,
    port: String(source.port),
    dbname: source.database,
    sslmode: source.sslMode,
  };
  if (source.sslRootCert !== undefined) options['sslrootcert'] = source.sslRootCert;
  return options;
}

/**
 * Opens the link in the transaction of the caller, waiting for it up to the lock_timeout of that
 * transaction (MIG03 if another session has it still). The password is in the catalog until `closeLink` or the end of the transaction.
 */
export async function openLink(session: Session): Promise<void> {
  await session.query('select migration.take_link()');
  await session.query('select migration.open_link()');
}

/** `openLink` where this transaction has not opened it yet. */
export async function awaitLink(session: Session): Promise<void> {
  await session.query(AWAIT_LINK);
}

/** Waits until no other session reads through the link, up to the lock_timeout of the transaction. */
export async function awaitTurn(session: Session): Promise<void> {
  await session.query('select migration.take_link()');
}

/** Takes the user mapping out again, before the transaction commits. */
export async function closeLink(session: Session): Promise<void> {
  await session.query(CLOSE_LINK);
}

/**
 * Plans that must not read the link. Nested loops over foreign tables, which have no statistics,
 * took 50 s instead of 0.24 s for one entity. A merge join takes the source's word that rows are sorted,
 * and where the collation of the source is another it loses rows that have a partner.
 */
const NEVER = ['enable_nestloop', 'enable_mergejoin'];

/** Runs statements that read through the link. */
export async function reading<T>(session: Session, body: () => Promise<T>): Promise<T> {
  const all = (state: 'on' | 'off') =>
    NEVER.map((name) => `set local ${name} = ${state}`).join('; ');
  await session.query(all('off'));
  const result = await body();
  await session.query(all('on'));
  return result;
}
