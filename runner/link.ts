import type { Endpoint } from './config.ts';
import { CouldNotConnect, failureOf, placeOf, type Session, throughLink } from './database.ts';
import type { Settings } from './settings.ts';

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

/** What the link found on the other side. */
export interface LinkReport {
  /** Tables asked for that the source does not have (or the reader may not see). */
  missing: string[];
  sourceVersion: number;
}

/** Gives this session what `open_link` needs; by COPY, so that no statement holds the secret. */
export async function login(session: Session, source: Endpoint): Promise<void> {
  await session.query(
    `drop table if exists pg_temp.link_login;
     create temporary table link_login (user_name text, secret text)`,
  );
  await session.copyIn('pg_temp.link_login', [[source.user, source.password.reveal()]]);
}

/**
 * Makes server, foreign tables and version tables anew, in the transaction of the caller; leaves
 * the link open. Views of schema transform fall with the server and are made again by the caller.
 * Throws CouldNotConnect.
 */
export async function buildLink(
  session: Session,
  source: Endpoint,
  tables: string[],
  secrets: Settings['secrets'],
): Promise<LinkReport> {
  const server = serverOptions(source);
  const settings = SETTINGS.map((setting) => `-c ${setting}`).join(' ');
  await firstContact(session, source, () =>
    session.query('select migration.build_link($1::text::jsonb, $2, $3, $4::text::jsonb)', [
      JSON.stringify(server),
      settings,
      tables,
      JSON.stringify(secrets),
    ]),
  );
  const [report] = await session.query<{ missing: string[]; version: number }>(
    `select migration.source_version() as version, coalesce((
       select array_agg(t order by t) from unnest($1::text[]) as t
       where to_regclass(concat('legacy.', quote_ident(t))) is null), '{}') as missing`,
    [tables],
  );
  return { missing: report?.missing ?? [], sourceVersion: report?.version ?? 0 };
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
  const [row] = await firstContact(session, source, () =>
    session.query<{ ready: boolean }>(
      'select migration.open_prepared($1::text::jsonb, $2, $3, $4) as ready',
      [JSON.stringify(serverOptions(source)), files, tables, targets],
    ),
  );
  return row?.ready ?? false;
}

/**
 * A source that accepts and says nothing: connect_timeout has no effect in dblink of release 17, so
 * the target waits a minute. Throws CouldNotConnect.
 */
async function firstContact<T>(
  session: Session,
  source: Endpoint,
  body: () => Promise<T>,
): Promise<T> {
  await session.query(`set local statement_timeout = '60s'`);
  try {
    return await throughLink(source, body);
  } catch (error) {
    const { code, message } = failureOf(error) ?? {};
    if (code !== '57014') throw error;
    throw new CouldNotConnect('source', { place: placeOf(source), code, said: message ?? '' });
  } finally {
    await session.query(`set local statement_timeout = '30min'`).catch(() => {});
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

/** Takes the user mapping out again, before the transaction commits. */
export async function closeLink(session: Session): Promise<void> {
  await session.query('select migration.close_link()');
}

/**
 * Plans that must not read the link. Nested loops over foreign tables, which have no statistics,
 * take 50 s instead of 0.24 s for jaws. A merge join takes the source's word that rows are sorted,
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
