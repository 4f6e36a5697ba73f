import { spawn } from 'node:child_process';
import type { Sql } from 'postgres';
import { ROOT } from '../runner.ts';
import { largestBackend, peakMemory } from './machine.ts';
import { session, type Place } from './place.ts';

/** One invocation of the runner. Memory in MB, the highest seen. */
export interface Measured {
  key: string;
  what: string;
  seconds: number;
  runner: number;
  backend: number;
  read: number;
  changed: number;
}

/** What is measured after the first run. */
export interface Extent {
  /** `up` again: nothing, 1 % at random, 1 % appended, all rows; in the end `down`. */
  increments: boolean;
  /** `verify` and `check`. */
  proofs: boolean;
}

/** Tables in which one in a hundred rows is changed. */
const CHANGED = [
  'dispatch_task',
  'dispatch_file',
  'dispatch_notification',
  'dispatch_action',
  'dispatch_project',
  'dispatch_plan',
  'dispatch_record',
  'dispatch_jaw',
  'dispatch_instruction',
  'dispatch_ware',
  'dispatch_payment',
];

/** The first run of the toolkit alone. */
export function firstRun(place: Place, jobs: string): Promise<Measured> {
  return measured(place, 'first', 'first run', ['up', '--jobs', jobs]);
}

/** The runs after the first one, in the same databases; changes the source. */
export async function laterRuns(
  place: Place,
  jobs: string,
  extent: Extent,
  record: (run: Measured) => void,
): Promise<void> {
  const up = ['up', '--jobs', jobs];
  const source = session(place.sourceAdminUrl);
  if (extent.increments) {
    await source.unsafe('vacuum analyze');
    record(await measured(place, 'nothing', 'nothing changed', up));
    for (const table of CHANGED) {
      await source.unsafe(`update ${table} set id = id where id % 100 = 7`);
    }
    record(await measured(place, 'random1', '1 % changed at random', up));
    // a jaw that no order names would be a reject
    for (const table of CHANGED) if (table !== 'dispatch_jaw') await append(source, table);
    record(await measured(place, 'appended1', '1 % appended', up));
    record(await measured(place, 'full', 'compare whole (--full)', [...up, '--full']));
  }
  await source.end();
  if (extent.proofs) {
    record(await measured(place, 'verify', 'verify', ['verify']));
    record(await measured(place, 'check', 'check', ['check']));
  }
  if (extent.increments) {
    const down = ['down', '1-foundation', '--cascade', '--yes'];
    record(await measured(place, 'down', 'down of everything', down));
  }
}

/** Seconds per phase, the slowest entities, and what lies where, of the first run. */
export async function printPhases(place: Place): Promise<void> {
  const target = session(place.targetAdminUrl);
  const phases = await target<{ phase: string; rows: number; seconds: number }[]>`
    select phase, sum(source)::float8 as rows,
      extract(epoch from max(finished_at) - min(started_at))::float8 as seconds
    from migration.control group by phase order by min(started_at)`;
  console.table(
    phases.map(({ phase, rows, seconds }) => ({
      phase,
      'source rows': rows,
      seconds: seconds.toFixed(1),
      'rows/s': Math.round(rows / seconds),
    })),
  );
  console.table(
    await target<{ entity: string; seconds: number; rows: number }[]>`
      select entity, extract(epoch from finished_at - started_at)::float8 as seconds,
        source::float8 as rows
      from migration.control order by 2 desc limit 3`,
  );
  console.table(
    await target`
      select nspname as schema, pg_size_pretty(sum(pg_total_relation_size(c.oid))) as size
      from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
      where n.nspname in ('public', 'ids', 'migration', 'legacy_archive') and c.relkind = 'r'
      group by 1 order by 1`,
  );
  await target.end();
}

async function append(source: Sql, table: string): Promise<void> {
  const columns = await source<{ name: string; uid: boolean }[]>`
    select quote_ident(attname) as name, attname = 'uid' as uid from pg_attribute
    where attrelid = ${table}::regclass and attnum > 0 and not attisdropped and attname <> 'id'`;
  const names = columns.map(({ name }) => name).join(', ');
  const picked = columns
    .map(({ name, uid }) => (uid ? `md5(concat(id, '-appended'))::uuid` : name))
    .join(', ');
  await source.unsafe(
    `insert into ${table} (${names}) select ${picked} from ${table} where id % 100 = 3`,
  );
}

/** Runs the runner, sampling the memory of its process and of the servers' largest backend. */
async function measured(
  place: Place,
  key: string,
  what: string,
  args: string[],
): Promise<Measured> {
  const { pair, sourceUrl, targetUrl } = place;
  const child = spawn(process.execPath, ['--import', 'tsx', 'runner/index.ts', ...args, '--json'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      CI: '1',
      // of few rows, 1 % is soon more than the rules reject
      REJECT_TOLERANCE: '5',
      SOURCE_DATABASE_URL: sourceUrl,
      TARGET_DATABASE_URL: targetUrl,
    },
  });
  const began = Date.now();
  let [runner, backend] = [0, 0];
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => (output.stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (output.stderr += data.toString()));
  const timer = setInterval(() => {
    runner = Math.max(runner, peakMemory(child.pid ?? 0));
    backend = Math.max(backend, largestBackend([pair.source, pair.target]));
  }, 100);
  const code = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
  });
  clearInterval(timer);
  const seconds = (Date.now() - began) / 1000;
  console.log(`  ${what}: ${seconds.toFixed(1)} s, exit ${code}, ${runner} MB`);
  // 1: a finding of check or verify, which take as long as without one
  const proof = key === 'check' || key === 'verify';
  if (code !== 0 && !(proof && code === 1)) throw new Error(`${what}: ${output.stderr}`);
  const answer = JSON.parse(output.stdout.trimEnd().split('\n').at(-1) ?? '{}') as {
    entities?: { read?: number; inserted?: number | null; updated?: number | null }[];
  };
  const sum = (name: 'read' | 'inserted' | 'updated') =>
    (answer.entities ?? []).reduce((total, entity) => total + (entity[name] ?? 0), 0);
  const changed = sum('inserted') + sum('updated');
  return { key, what, seconds, runner, backend, read: sum('read'), changed };
}
