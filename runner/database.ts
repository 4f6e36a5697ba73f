import { readFileSync } from 'node:fs';
import postgres from 'postgres';

import type { Endpoint } from './config.ts';
import { bound, copyField, type Parameter } from './quote.ts';
import { type Hear, saidIn } from './said.ts';
import { saidOf } from './conditions.ts';
import { isPassing, settings } from './transactions.ts';
import { dial } from './connection/dial.ts';
import { explainRefusal, type Refusal, type Side } from './connection/unreachable.ts';

/** One connection of its own; never shared, never reconnected: a lost one stays lost. */
export interface Session {
  readonly pid: number;
  /** Runs one statement (several only without parameters) and returns its rows. */
  query<Row extends object>(text: string, parameters?: Parameter[]): Promise<Row[]>;
  /** Runs statements in one message; all rows they return, one after the other. `hear`s the engine. */
  batch(statements: string[], hear?: Hear): Promise<Record<string, unknown>[]>;
  /** Runs one statement and returns the number of rows it wrote. */
  execute(text: string): Promise<number>;
  /** Runs exactly one statement: a second one in the text is refused by the server. */
  single(text: string): Promise<void>;
  /** Fills a table by COPY, so that the values are in no statement, log or activity view. */
  copyIn(table: string, rows: string[][]): Promise<void>;
  /** What is to be sent after every ROLLBACK from now on: it must not fail. */
  afterRollback(statement: string): void;
  /** The statements that end a transaction without effect. */
  readonly rollback: string[];
  /** Asks the server to stop the statement that runs now; again and again where it does not. */
  cancel(): void;
  close(): Promise<void>;
}

const CONNECT_SECONDS = 10;
/**
 * A statement that is to stop reads what dblink has asked the source for to its end, however long that takes,
 * unless it is told again. postgres_fdw gives a source as much time.
 */
const PATIENCE_MS = 30_000;
const KEEPALIVES = ['idle=10', 'interval=5', 'count=3'].map((each) => `tcp_keepalives_${each}`);
/** What a session begins with. Releases before 14 do not know how to look after their client. */
const GREETINGS = {
  target: [
    'client_min_messages=notice',
    'client_connection_check_interval=2s',
    ...KEEPALIVES,
    'tcp_user_timeout=15s',
  ],
  source: ['default_transaction_read_only=on', 'statement_timeout=50000', ...KEEPALIVES],
};

/** What a query of postgres.js 3.4 is made with, and its types hide: its `cancel` works once. */
interface Stoppable {
  canceller(query: Stoppable): Promise<unknown>;
}

/** The connection is gone; whether the last statement had an effect is not known. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** A connection could not be made; the message says why and what is true now. */
export class CouldNotConnect extends Error {
  override readonly name = 'CouldNotConnect';
  readonly side: Side;
  readonly refusal: Refusal;
  /** What to do. */
  readonly fix: string;
  constructor(
    side: Side,
    refusal: Refusal,
    truth = side === 'target' ? 'nothing was sent' : 'no row was changed',
  ) {
    const { cause, fix } = explainRefusal(refusal, side);
    super(`${cause}; ${truth}`);
    this.side = side;
    this.refusal = refusal;
    this.fix = fix;
  }
}

/** What a failed statement tells, without row values (`conditions.ts`). */
export interface DatabaseFailure {
  code: string;
  message: string;
  hint: string | undefined;
  /** Offset into the statement, from 1; in characters. */
  position: number | undefined;
  /** The same where a function ran a text: the offset into that text. */
  innerPosition: number | undefined;
  constraint: string | undefined;
  column: string | undefined;
  table: string | undefined;
  /** Of a law of the engine: the rows it does not hold for, as JSON; keys and codes. */
  refused: string | undefined;
}

/** The failure of a statement, or undefined when the error is of another kind. */
export function failureOf(error: unknown): DatabaseFailure | undefined {
  if (!(error instanceof postgres.PostgresError)) return undefined;
  const { internal_position: inner } = error;
  return {
    code: error.code,
    // of class 08 the detail is what libpq said of host and login: no row values
    message:
      error.code.startsWith('08') && error.detail !== undefined
        ? `${error.message}: ${error.detail}`
        : error.message,
    hint: error.hint,
    position: error.position === undefined ? undefined : Number(error.position),
    innerPosition: inner === undefined ? undefined : Number(inner),
    constraint: error.constraint_name,
    column: error.column_name,
    table: error.table_name,
    refused: error.code === 'MIG01' ? error.detail : undefined,
  };
}

/** True for errors after which the same transaction may simply be tried again. */
export function mayRetry(error: unknown): boolean {
  return isPassing(failureOf(error)?.code);
}

/** True for errors of the data itself: class 22 (data exception) and 23 (constraint violation). */
export function isDataError(error: unknown): boolean {
  return /^2[23]/.test(failureOf(error)?.code ?? '');
}

/** Opens a connection; one to the source (from release 9.5 on) only reads. Throws CouldNotConnect. */
export async function connect(
  endpoint: Endpoint,
  name: string,
  side: Side = 'target',
): Promise<Session> {
  const state: { ready: boolean; lost: boolean; pending: Stoppable | null } = {
    ready: false,
    lost: false,
    pending: null,
  };
  let hear: Hear | undefined;
  const tls = tlsOf(endpoint);
  let dialled = false;
  let gaveUp = false;
  let giveUp: (error: Error) => void = () => {};
  const abandoned = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  const socket = async () => {
    // the driver dials again for ever where the other side closes; a cancel dials once more. An error
    // thrown from here would reach a question of its own, too, which nobody listens to
    if (dialled && !state.ready) {
      gaveUp = true;
      giveUp(closedEarly());
      return new Promise<never>(() => {});
    }
    dialled = true;
    const opened = await dial(endpoint.host, endpoint.port, tls, CONNECT_SECONDS);
    return Object.assign(opened, { host: endpoint.host, port: endpoint.port });
  };
  const sql = postgres({
    host: endpoint.host,
    port: endpoint.port,
    database: endpoint.database,
    username: endpoint.user,
    password: () => endpoint.password.reveal(),
    // `socket` is in postgres.js 3.4 but not in its types
    ...({ socket } as object),
    ssl: false,
    max: 1,
    connect_timeout: CONNECT_SECONDS,
    idle_timeout: 0,
    max_lifetime: null,
    prepare: false,
    onnotice: (notice) => {
      const said = saidIn(notice);
      if (said !== undefined) hear?.(said);
    },
    onclose: () => {
      state.lost = true;
    },
    connection: { application_name: name },
    // counts and keys fit a double; the number of a key that is none may not, and is text then, as sums over
    // versions are, which are numeric
    types: { bigint: { to: 20, from: [20], parse: wholeNumber, serialize: String } },
  });

  const run = async <Row extends object>(
    text: string,
    simple: boolean,
  ): Promise<postgres.RowList<Row[]>> => {
    if (state.lost) throw new ConnectionLost(`the connection to the ${side} is lost`);
    // `simple` is in postgres.js 3.4 but not in its types
    const options = { prepare: false, simple } as postgres.UnsafeQueryOptions;
    const pending = sql.unsafe<Row[]>(text, [], options);
    state.pending = pending as unknown as Stoppable;
    try {
      return await pending;
    } catch (error) {
      if (isConnectionError(error)) {
        state.lost = true;
        throw new ConnectionLost(`the connection to the ${side} is lost (${messageOf(error)})`, {
          cause: error,
        });
      }
      throw withoutValues(error);
    } finally {
      state.pending = null;
    }
  };

  // A runner that is killed, or cut off by a dead network, must not leave its backend at work (or
  // idle with the lock, for two hours): the server looks after the client itself.
  const greeting = run<{ pid: number }>(
    `select pg_catalog.pg_backend_pid() as pid, ${GREETINGS[side]
      .map((each) => `pg_catalog.set_config('${each.replace('=', "', '")}', false)`)
      .join(', ')}`,
    true,
  );
  const [first] = await Promise.race([abandoned, greeting]).catch(async (error: unknown) => {
    // of what was given up nothing is left
    if (!gaveUp) await sql.end({ timeout: 0 }).catch(() => {});
    // ERROR is an answer to the settings: the session was there
    if (error instanceof postgres.PostgresError) throw error;
    const reason = error instanceof ConnectionLost ? error.cause : error;
    throw new CouldNotConnect(side, refusalOf(reason, placeOf(endpoint)));
  });
  if (first === undefined) throw new ConnectionLost(`the ${side} did not answer`);
  state.ready = true;

  const rollback = ['rollback'];
  return {
    pid: first.pid,
    rollback,
    afterRollback: (statement) => {
      rollback.splice(1, rollback.length, statement);
    },
    query: async (text, parameters = []) => [...(await run<never>(bound(text, parameters), true))],
    batch: async (statements, listener) => {
      hear = listener;
      const results = await run<never>(statements.join(';\n'), true);
      // the list of rows, or a list of such lists
      return (results as unknown[]).flat() as Record<string, unknown>[];
    },
    execute: async (text) => (await run(text, false)).count,
    single: async (text) => {
      await run(text, false);
    },
    copyIn: async (table, rows) => {
      const writable = await sql.unsafe(`copy ${table} from stdin`).writable();
      await new Promise<void>((resolve, reject) => {
        writable.on('finish', resolve).on('error', reject);
        for (const row of rows) writable.write(`${row.map(copyField).join('\t')}\n`);
        writable.end();
      });
    },
    cancel: () => {
      const { pending } = state;
      if (pending === null) return;
      const stop = (): void => {
        if (state.pending !== pending) clearInterval(again);
        else pending.canceller(pending).catch(() => {});
      };
      const again = setInterval(stop, PATIENCE_MS);
      again.unref();
      stop();
    },
    close: async () => {
      await sql.end({ timeout: 2 }).catch(() => {});
    },
  };
}

/** True if there is a table, view or function of this name, `schema.name` as SQL writes it. */
export async function isThere(session: Session, name: string): Promise<boolean> {
  const [row] = await session.query<{ there: boolean }>(
    `select coalesce(pg_catalog.to_regclass($1)::oid, pg_catalog.to_regproc($1)::oid) is not null
       as there`,
    [name],
  );
  return row?.there ?? false;
}

/** One transaction: settings first, then `body`; any error rolls it back and is thrown on. */
export async function transaction<T>(
  session: Session,
  body: () => Promise<T>,
  {
    commit = true,
    lockTimeout = '10s',
    first = [],
    last = [],
  }: {
    commit?: boolean;
    lockTimeout?: string;
    /** Calls sent in the message that begins it, and in the one that ends it. */
    first?: string[];
    last?: string[];
  } = {},
): Promise<T> {
  try {
    await session.batch([...beginning(lockTimeout), ...first]);
    const result = await body();
    await session.batch([...last, ...(commit ? ['commit'] : session.rollback)]);
    return result;
  } catch (error) {
    if (!(error instanceof ConnectionLost)) await session.batch(session.rollback).catch(() => {});
    throw error;
  }
}

/** A transaction in one message: settings, calls, COMMIT; the rows of all calls. */
export async function batch(
  session: Session,
  calls: string[],
  { lockTimeout = '10s', listener }: { lockTimeout?: string; listener?: Hear } = {},
): Promise<Record<string, unknown>[]> {
  try {
    return await session.batch([...beginning(lockTimeout), ...calls, 'commit'], listener);
  } catch (error) {
    if (!(error instanceof ConnectionLost)) await session.batch(session.rollback).catch(() => {});
    throw error;
  }
}

/** What begins a transaction: also one behind another, in the same message. */
export function beginning(lockTimeout: string): string[] {
  return ['begin', limits(lockTimeout)];
}

/** A savepoint around `body`; an error takes back what `body` did and is thrown on. */
export async function savepoint<T>(session: Session, body: () => Promise<T>): Promise<T> {
  await session.query('savepoint step');
  try {
    const result = await body();
    await session.query('release savepoint step');
    return result;
  } catch (error) {
    if (!(error instanceof ConnectionLost)) {
      await session.query('rollback to savepoint step; release savepoint step');
    }
    throw error;
  }
}

function limits(lock: string): string {
  // statements follow each other at once: a minute of silence is a runner that is not there
  return settings({ lock, statement: '30min', idle: '60s' }, true);
}

/** TLS options of Node for an endpoint; false = clear text. One meaning for both drivers. */
export function tlsOf(endpoint: Endpoint): false | object {
  if (endpoint.sslMode === 'disable') return false;
  if (endpoint.sslMode === 'require') return { rejectUnauthorized: false };
  const ca = endpoint.sslRootCert === undefined ? undefined : certificate(endpoint);
  const anyName = endpoint.sslMode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {};
  return { rejectUnauthorized: true, ca, ...anyName };
}

function certificate(endpoint: Endpoint): Buffer {
  try {
    return readFileSync(endpoint.sslRootCert ?? '');
  } catch (error) {
    throw new CouldNotConnect('target', refusalOf(error, placeOf(endpoint)));
  }
}

/** host:port */
export function placeOf({ host, port }: Endpoint): string {
  return `${host}:${port}`;
}

/** Why a connection was not made, from what either driver throws; AggregateError has no words. */
export function refusalOf(error: unknown, place: string): Refusal {
  const { code } = error as { code?: unknown };
  return { place, code: typeof code === 'string' ? code : '', said: messageOf(error) };
}

function closedEarly(): Error {
  return Object.assign(new Error('the connection was closed'), { code: 'CONNECTION_CLOSED' });
}

/** The same error, fit to be shown and kept: what the driver was told of values is taken out. */
function withoutValues(error: unknown): unknown {
  if (!(error instanceof postgres.PostgresError)) return error;
  const { code, position, constraint_name: constraint, column_name: column } = error;
  // with a place in the statement it is the text of the statement that is quoted: no row was read
  if (position !== undefined) return error;
  const said = saidOf(code, { constraint, column });
  if (said === undefined) return error;
  return Object.assign(error, { message: said, hint: undefined, detail: undefined });
}

function isConnectionError(error: unknown): boolean {
  // ERROR 08006 or 57P01 is what the source said to the target; FATAL ends our own session
  if (error instanceof postgres.PostgresError) return error.severity === 'FATAL';
  const { code } = error as { code?: unknown };
  return (
    typeof code === 'string' &&
    /^(CONNECT|ECONN|EPIPE|EPROTO|ERR_SSL_|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_)/.test(code)
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function wholeNumber(text: string): number | string {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : text;
}
