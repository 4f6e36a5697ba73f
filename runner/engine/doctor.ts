import type { Endpoint } from '../config.ts';
import { connect, type CouldNotConnect, type Session } from '../database.ts';
import { question } from './question.ts';

/** One thing looked at. */
export interface Diagnosis {
  what: string;
  state: 'ok' | 'warning' | 'error';
  /** What was seen. */
  found: string;
  /** What to do; empty when all is well. */
  fix: string;
}

/** Oldest target: `client_connection_check_interval`, `security_invoker`, multiranges of tests. */
const OLDEST_TARGET = 150000;
/** Oldest source: foreign tables, dblink and xmin work the same from here on. */
const OLDEST_SOURCE = 90500;

/** Looks at the target as the runner sees it: version, role, rights, logging of secrets. */
export async function examineTarget(session: Session, schemas: string[]): Promise<Diagnosis[]> {
  const [facts] = await session.query<{
    version: number;
    version_text: string;
    role: string;
    superuser: boolean;
    bypass: boolean;
    read_only: boolean;
    replica: boolean;
    extensions: string[];
    installable: string[];
    creates: boolean;
    others: string[];
    forced: string[];
    tracks: string | null;
    log_level: string;
  }>(question('target'), [schemas]);
  if (facts === undefined) return [];
  const list: Diagnosis[] = [];
  const look = (what: string, good: boolean, found: string, fix: string, state: Bad = 'error') => {
    list.push({ what, state: good ? 'ok' : state, found, fix: good ? '' : fix });
  };
  look(
    'target version',
    facts.version >= OLDEST_TARGET,
    `PostgreSQL ${facts.version_text}`,
    'the target must be PostgreSQL 15 or later',
  );
  look(
    'target is writable',
    !facts.read_only && !facts.replica,
    facts.replica ? 'a read replica' : facts.read_only ? 'transactions are read only' : 'writable',
    'connect to the primary, as a role without default_transaction_read_only',
  );
  look(
    'target role',
    !facts.superuser,
    `${facts.role}${facts.superuser ? ' is a superuser' : ''}`,
    'use the project owner account: row level security and ownership are then as in production',
    'warning',
  );
  look(
    'schemas can be made',
    facts.creates,
    facts.creates ? 'yes' : `${facts.role} has no CREATE on the database`,
    `grant create on the database to ${facts.role}`,
  );
  const lacking = ['dblink', 'postgres_fdw', 'uuid-ossp'].filter(
    (name) => !facts.extensions.includes(name),
  );
  look(
    'extensions in schema extensions',
    lacking.length === 0,
    lacking.length === 0 ? facts.extensions.join(', ') : `missing: ${lacking.join(', ')}`,
    `create extension ... with schema extensions (${lacking.join(', ')})`,
  );
  look(
    'tables are ours to write',
    facts.others.length === 0,
    facts.others.length === 0 ? 'all' : `owned by others: ${some(facts.others)}`,
    `connect as their owner: down disables triggers, which only the owner may`,
  );
  look(
    'row level security does not hide rows',
    facts.forced.length === 0,
    facts.forced.length === 0 ? 'none hidden' : `active for ${some(facts.forced)}`,
    'use a role with BYPASSRLS, or the owner of tables without FORCE ROW LEVEL SECURITY',
  );
  look(
    'server log',
    !facts.log_level.startsWith('debug'),
    `log_min_messages = ${facts.log_level}`,
    'debug messages log the statement they come from, the source password among them: use info or less',
    'warning',
  );
  look(
    'statement statistics',
    facts.tracks !== 'all',
    facts.tracks === 'all'
      ? 'pg_stat_statements.track = all keeps nested statements: the source password among them'
      : 'nested statements are not kept',
    'set it to top for the migration; use a reader account that is dropped afterwards',
    'warning',
  );
  return list;
}

/** Looks at the source through the open link: version, rights of the reader, clock. */
export async function examineSource(session: Session, tables: string[]): Promise<Diagnosis[]> {
  const [facts] = await session.query<{
    version: number;
    role: string;
    superuser: boolean;
    unreadable: string[];
    writable: string[];
    hidden: string[];
    source_collation: string;
    target_collation: string;
    seconds_apart: number;
  }>('select * from migration.source_facts($1)', [tables]);
  if (facts === undefined) return [];
  const list: Diagnosis[] = [];
  const look = (what: string, good: boolean, found: string, fix: string, state: Bad = 'error') => {
    list.push({ what, state: good ? 'ok' : state, found, fix: good ? '' : fix });
  };
  look(
    'source version',
    facts.version >= OLDEST_SOURCE,
    `PostgreSQL ${Math.floor(facts.version / 10000)}`,
    'the source must be PostgreSQL 9.5 or later',
  );
  look(
    'source tables are readable',
    facts.unreadable.length === 0,
    facts.unreadable.length === 0 ? 'all' : `no SELECT on ${some(facts.unreadable)}`,
    `grant select on these tables to ${facts.role}`,
  );
  look(
    'source rows are visible',
    facts.hidden.length === 0,
    facts.hidden.length === 0 ? 'all' : `row level security hides rows of ${some(facts.hidden)}`,
    `give ${facts.role} BYPASSRLS, or a policy that shows every row`,
  );
  look(
    'source is only read',
    !facts.superuser && facts.writable.length === 0,
    facts.superuser
      ? `${facts.role} is a superuser`
      : facts.writable.length === 0
        ? `${facts.role} may only read`
        : `${facts.role} may write ${some(facts.writable)}`,
    'use an account made for the migration that has SELECT and nothing else',
    'warning',
  );
  look(
    'collations',
    facts.source_collation === facts.target_collation,
    `source ${facts.source_collation}, target ${facts.target_collation}`,
    'joins do not depend on it; where a view orders by a text, say `collate "C"`',
    'warning',
  );
  look(
    'clocks',
    Math.abs(facts.seconds_apart) < 60,
    `${Math.abs(facts.seconds_apart).toFixed(1)} s apart`,
    'nothing depends on the clocks; the times in the ledger are those of the target',
    'warning',
  );
  return list;
}

/** How foreign keys will be checked; the functions of the engine are there. */
export async function examineReferences(session: Session, targets: string[]): Promise<Diagnosis> {
  const [ways] = await session.query<{ role: string; may: boolean; row_by_row: string[] }>(
    'select * from migration.ways_of_references($1)',
    [targets],
  );
  const what = 'foreign keys';
  if (ways?.may !== true) {
    const found = 'checked row by row, which takes longer: session_replication_role may not be set';
    const fix = `grant set on parameter session_replication_role to ${ways?.role ?? ''} (from release 15)`;
    return { what, state: 'warning', found, fix };
  }
  const rest = ways.row_by_row.length === 0 ? '' : `; row by row: ${some(ways.row_by_row)}`;
  return { what, state: 'ok', found: `checked set by set${rest}`, fix: '' };
}

/**
 * Finds out whether a transaction pooler stands between: what a session sets must still be there
 * after another session has worked. Throws nothing; the answer is a diagnosis.
 */
export async function examinePooler(target: Endpoint): Promise<Diagnosis> {
  const name = 'runner doctor';
  const ends = await Promise.allSettled([connect(target, name), connect(target, name)]);
  const sessions = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
  const read = question('pooler');
  try {
    const [one, two] = sessions;
    if (one === undefined || two === undefined) {
      throw ends.find((end) => end.status === 'rejected')?.reason;
    }
    let mixed = false;
    for (let round = 0; round < 3 && !mixed; round += 1) {
      await one.query(`select pg_catalog.set_config('runner.probe', 'one', false)`);
      // the second takes the server session that the first has left, which then has to take another
      await two.query('begin');
      await one.query('begin');
      await two.batch([`select pg_catalog.set_config('runner.probe', 'two', false)`, 'commit']);
      await one.query('commit');
      const seen = await Promise.all(
        [two, one].map((session) => session.query<{ mark: string | null; pid: number }>(read)),
      );
      mixed = seen.some(
        ([row], place) =>
          row?.mark !== ['two', 'one'][place] || row?.pid !== [two, one][place]?.pid,
      );
    }
    return {
      what: 'direct or session-mode connection',
      state: mixed ? 'error' : 'ok',
      found: mixed ? 'a transaction pooler changes the server session' : 'the session is ours',
      fix: mixed ? 'use the direct connection or the session mode of the pooler (port 5432)' : '',
    };
  } finally {
    await Promise.all(sessions.map((session) => session.close()));
  }
}

/**
 * Source tables that are not there. Where most are missing it is another database, and nothing else has
 * to be said: what follows from it would fill screens.
 */
export function examineTables(missing: string[], tables: string[], source: Endpoint): Diagnosis {
  const what = 'source tables';
  if (missing.length === 0) return { what, state: 'ok', found: `${tables.length}`, fix: '' };
  if (isAnotherSource(missing, tables)) {
    return {
      what,
      state: 'error',
      found:
        `${missing.length === tables.length ? 'none' : `only ${tables.length - missing.length}`} of the ` +
        `${tables.length} tables that the files read is in database ${source.database} at ` +
        `${source.host} (${some(missing)}), or the account may not see them`,
      fix: 'is SOURCE_DATABASE_URL the right database, and sourceSchema in sql/settings.json its schema?',
    };
  }
  const found = `not there: ${some(missing)}`;
  return { what, state: 'error', found, fix: 'restore them, or take them out of the files' };
}

/** Most tables that the files read are not there. */
export function isAnotherSource(missing: string[], tables: string[]): boolean {
  return missing.length > tables.length / 2;
}

/** A connection that cannot be made, as a finding. */
export function unreachable({ side, message, fix }: CouldNotConnect): Diagnosis {
  return { what: `connection to the ${side}`, state: 'error', found: message, fix };
}

type Bad = 'warning' | 'error';

function some(names: string[]): string {
  const rest = names.length > 5 ? ` and ${names.length - 5} more` : '';
  return `${names.slice(0, 5).join(', ')}${rest}`;
}
