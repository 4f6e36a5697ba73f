import { PG_MIGRATE_LOCK_ID } from 'node-pg-migrate';
import { Client, type ClientBase, DatabaseError } from 'pg';

import { codeOf, ROLLED_BACK, SchemaChangeError } from './error.ts';
import { type ChangeFile, placeOf, type Section } from './files.ts';
import { saidOf } from '../conditions.ts';
import { settings } from '../transactions.ts';
import { explainRefusal } from '../connection/unreachable.ts';

/** Where a database is, when it is not given as a URL. */
export interface Connection {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  /** Passed to `pg` as it is: false = clear text, else options of `tls.connect`. */
  ssl: false | object;
}

/** Exactly one of `url` and `connection` is given. */
export interface Where {
  url?: string;
  connection?: Connection;
}

const LIMITS = { lock: '500ms', statement: '10min', idle: '2min' };

/** Opens a connection for `work` and closes it. Throws `SchemaChangeError`, without secrets. */
export async function withClient<T>(
  target: Where,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await connect(target);
  try {
    return await work(client);
  } catch (error) {
    throw error instanceof SchemaChangeError ? error : explain(error, undefined, false);
  } finally {
    // the session's locks end with it; a connection that is lost already has nothing to say
    await client.end().catch(() => {});
  }
}

async function connect({ url, connection }: Where): Promise<Client> {
  if ((url === undefined) === (connection === undefined)) {
    throw new SchemaChangeError('usage', 'Exactly one of url and connection is needed.');
  }
  const limits = {
    application_name: 'migration runner (schema changes)',
    connectionTimeoutMillis: 15_000,
    // longer than statement_timeout: it only ends a wait for a server that no longer answers
    query_timeout: 660_000,
    keepAlive: true,
  };
  let client: Client;
  try {
    client = new Client(
      url === undefined ? { ...limits, ...connection } : { ...limits, connectionString: url },
    );
  } catch {
    // the parser's error carries the whole URL
    throw new SchemaChangeError('usage', 'The connection URL cannot be read. Nothing was changed.');
  }
  // without a listener a connection that is lost between two queries ends the process
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query(settings(LIMITS, false));
    await client.query(`
      set client_min_messages = warning;
      set client_connection_check_interval = '5s'`);
  } catch (error) {
    await client.end().catch(() => {});
    const secret = connection?.password ?? client.password;
    let said = error instanceof Error ? error.message : 'unknown reason';
    if (secret) said = said.replaceAll(secret, '***');
    const refusal = { place: `${client.host}:${client.port}`, code: codeOf(error), said };
    const { cause, fix } = explainRefusal(refusal, 'target');
    const message = `${cause}. Nothing was changed.\nfix: ${fix}`;
    throw new SchemaChangeError('connect', message, undefined, refusal);
  }
  return client;
}

/** node-pg-migrate's own lock, held for the session: its other users are kept out as well. */
export async function takeLock(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ taken: boolean }>(
    'select pg_catalog.pg_try_advisory_lock($1) as taken',
    [PG_MIGRATE_LOCK_ID],
  );
  if (rows[0]?.taken !== true) {
    throw new SchemaChangeError(
      'busy',
      'Another schema change is at work in this database. Nothing was changed.',
    );
  }
}

/** The sentence for a failure: where in which file, what, and what is true now. */
export function explain(
  reason: unknown,
  running: { file: ChangeFile; section: Section } | undefined,
  committing: boolean,
): SchemaChangeError {
  // a server that shuts down (57P) may have committed before it said so
  const answered = reason instanceof DatabaseError && !/^(57P|08)/.test(codeOf(reason));
  if (committing && !answered) {
    return new SchemaChangeError(
      'unknown',
      'The connection was lost during COMMIT: the outcome is unknown. Run the same command again.',
    );
  }
  const { message, hint, position, constraint, column } = reason as Partial<DatabaseError>;
  const offset = position === undefined ? undefined : Number(position) - 1;
  const at = running && {
    file: running.file.file,
    ...(offset === undefined || offset >= running.section.text.length
      ? {}
      : placeOf(running.file.text, running.section.offset + offset)),
  };
  const where =
    at === undefined
      ? ''
      : [at.file, ...('line' in at ? [at.line, at.column] : [])].join(':') + ': ';
  // without a place in the file it is a row that the message may quote
  const said = position === undefined ? saidOf(codeOf(reason), { constraint, column }) : undefined;
  const advice = said !== undefined || hint === undefined ? '' : ` ${hint}`;
  return new SchemaChangeError(
    'failed',
    `${where}${said ?? message ?? String(reason)}.${advice} ` + ROLLED_BACK,
    at,
  );
}
