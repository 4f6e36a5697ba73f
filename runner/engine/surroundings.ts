import type { Endpoint } from '../config.ts';
import { connect, CouldNotConnect, failureOf, type Session } from '../database.ts';
import { explainRefusal } from '../connection/unreachable.ts';
import type { Diagnosis } from './doctor.ts';
import { question } from './question.ts';

/** A table and what it takes, indexes included. */
interface Sized {
  name: string;
  rows: number;
  bytes: number;
}

/** Slower than this, and most of a run is waiting. */
const SLOW_MS = 100;
/** Rows per second of the link below which the link is what a run waits for. */
const SLOW_ROWS = 5_000;
/** What is stored for a byte of the source: rows, id maps and ledger; measured, 2 to 3. */
const GROWTH = [2, 3] as const;

/** What a person should know of the target: nothing of it stands in the way. */
export async function examineSurroundings(
  session: Session,
  target: Endpoint,
  tables: string[],
): Promise<Diagnosis[]> {
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const began = performance.now();
    await session.query('select 1');
    times.push(performance.now() - began);
  }
  // the best of five: what is busy at the moment is not what the way is like
  const best = Math.min(...times);
  const [facts] = await session.query<{
    ssl: boolean | null;
    tls: string | null;
    port: number | null;
    timeouts: Record<string, string>;
    bytes: number;
    largest: Sized[] | null;
    triggers: string[];
  }>(question('surroundings'), [tables]);
  if (facts === undefined) return [];
  const between = facts.port !== null && facts.port !== target.port;
  return [
    diagnosis(
      'round trip to the target',
      best <= SLOW_MS,
      `${best.toFixed(1)} ms`,
      'run it nearer to the target: a run waits for every answer',
    ),
    encryption('target', target, facts.ssl, facts.tls),
    diagnosis(
      'limits of the role',
      true,
      `${timeoutsOf(facts.timeouts)}; each transaction of ours sets its own`,
    ),
    ...(between
      ? [
          diagnosis(
            'address of the target',
            true,
            `asked at port ${target.port}, answered from ${facts.port}: a pooler or a tunnel is ` +
              'between, whose own limits cannot be seen from here',
          ),
        ]
      : []),
    diagnosis(
      'target tables',
      true,
      `${tables.length}, the database has ${megabytes(facts.bytes)}${largestOf(facts.largest)}`,
    ),
    diagnosis(
      'triggers on target tables',
      true,
      facts.triggers.length === 0
        ? 'none'
        : `${facts.triggers.length}, they run for every row: ${some(facts.triggers)}`,
    ),
  ];
}

/** The same of the source, through the open link; the functions of the engine are there. */
export async function examineLink(
  session: Session,
  source: Endpoint,
  tables: string[],
): Promise<Diagnosis[]> {
  const [facts] = await session.query<{
    ssl: boolean | null;
    tls: string | null;
    rows: number | null;
    bytes: number | null;
    largest: Sized[] | null;
    round_trip_ms: number;
    read_table: string | null;
    read_rows: number | null;
    read_ms: number | null;
  }>('select * from migration.link_surroundings($1)', [tables]);
  if (facts === undefined) return [];
  const { rows, bytes, read_rows: read, read_ms: ms } = facts;
  const rate = read === null || ms === null || ms === 0 ? undefined : (read * 1000) / ms;
  return [
    diagnosis(
      'round trip target to source',
      facts.round_trip_ms <= SLOW_MS,
      `${facts.round_trip_ms.toFixed(1)} ms`,
      'bring the two nearer to each other for the migration',
    ),
    encryption('source', source, facts.ssl, facts.tls),
    ...(rate === undefined || (read ?? 0) < 100
      ? []
      : [
          diagnosis(
            'rate target from source',
            rate >= SLOW_ROWS,
            `${Math.round(rate).toLocaleString('en-US')} rows/s of ${facts.read_table ?? ''}`,
            'the network between them is what a run will wait for',
          ),
        ]),
    diagnosis(
      'size of the source tables',
      true,
      `${(rows ?? 0).toLocaleString('en-US')} rows, ${megabytes(bytes ?? 0)}${largestOf(facts.largest)}`,
    ),
    diagnosis(
      'space',
      true,
      `a first run needs about ${megabytes((bytes ?? 0) * GROWTH[0])} to ` +
        `${megabytes((bytes ?? 0) * GROWTH[1])} in the target; what is free there cannot be asked in SQL`,
    ),
  ];
}

/**
 * The source as this machine sees it: where the target cannot be asked. Whether the target reaches it is
 * another question, but a password that is wrong here is wrong there.
 */
export async function examineFromHere(source: Endpoint): Promise<Diagnosis> {
  const what = 'source, seen from this machine';
  try {
    const session = await connect(source, 'runner doctor');
    await session.close();
    return diagnosis(what, true, 'it answers and knows the account');
  } catch (error) {
    // a setting that an old source does not know: it has let us in
    if (failureOf(error) !== undefined)
      return diagnosis(what, true, 'it answers and knows the account');
    if (!(error instanceof CouldNotConnect)) throw error;
    const { cause, fix } = explainRefusal(error.refusal, 'source');
    const said = cause.replace('the target could not connect to the source', 'could not connect');
    // SQLSTATEs are answers of the server; what else went wrong may be different from the target
    const answered = /^[0-9A-Z]{5}$/.test(error.refusal.code);
    return { what, state: answered ? 'error' : 'warning', found: said, fix };
  }
}

function diagnosis(what: string, good: boolean, found: string, fix = ''): Diagnosis {
  return { what, state: good ? 'ok' : 'warning', found, fix: good ? '' : fix };
}

function encryption(
  side: 'source' | 'target',
  { host, sslMode }: Endpoint,
  ssl: boolean | null,
  tls: string | null,
): Diagnosis {
  const near = /^(localhost|::1|127\.\d+\.\d+\.\d+)$/.test(host) || host.startsWith('/');
  const way = side === 'target' ? 'encryption to the target' : 'encryption target to source';
  const checked = sslMode.startsWith('verify')
    ? ', certificate checked'
    : ', certificate not checked';
  return diagnosis(
    way,
    ssl === true || near,
    ssl === true ? `${tls ?? 'TLS'}${checked}` : near ? 'none, on this machine' : 'none',
    `sslmode=require or better in ${side === 'target' ? 'TARGET' : 'SOURCE'}_DATABASE_URL`,
  );
}

/** Settings are in milliseconds; 0 is none. */
function timeoutsOf(timeouts: Record<string, string>): string {
  const said = Object.entries(timeouts)
    .filter(([, value]) => Number(value) > 0)
    .map(([name, value]) => `${name} ${Number(value) / 1000} s`);
  return said.length === 0 ? 'none' : said.toSorted().join(', ');
}

function largestOf(largest: Sized[] | null): string {
  const used = (largest ?? []).filter(({ rows }) => rows > 0);
  if (used.length === 0) return '';
  return `; largest: ${used.map(({ name, bytes }) => `${name} ${megabytes(bytes)}`).join(', ')}`;
}

function megabytes(bytes: number): string {
  const mb = bytes / 1e6;
  return mb >= 1000
    ? `${(mb / 1000).toFixed(1)} GB`
    : `${mb < 10 ? mb.toFixed(1) : mb.toFixed(0)} MB`;
}

function some(names: string[]): string {
  const rest = names.length > 5 ? ` and ${names.length - 5} more` : '';
  return `${names.slice(0, 5).join(', ')}${rest}`;
}
