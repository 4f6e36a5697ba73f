/*
 * Speed and memory, side by side in one run:
 *   npm run bench -- [--scale 1|full] [--source 17] [--target 17] [--jobs 2] [--first | --proofs]
 * --first: the first run only; --proofs: and what proves it, `verify` and `check`.
 * Ratios to the first run are what counts: these machines are noisy.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import postgres from 'postgres';

import { removePair, startPair } from '../../runner/embedded/pair.ts';
import type { Major } from '../../runner/embedded/releases.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '1' },
    source: { type: 'string', default: '17' },
    target: { type: 'string', default: '17' },
    jobs: { type: 'string', default: '2' },
    keep: { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
    proofs: { type: 'boolean', default: false },
  },
});

/** One invocation of the runner. Memory in MB, the highest seen. */
interface Measured {
  what: string;
  seconds: number;
  runner: number;
  backend: number;
  read: number;
  changed: number;
}

/** Changes of the source that the incremental runs are measured with; %s = one in a hundred rows. */
const TABLES = [
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

const directory = join(
  root,
  '.embedded',
  `bench-${values.source}-${values.target}-${values.scale}`,
);
if (!values.keep) removePair(directory);
const pair = await startPair({
  directory,
  scale: values.scale,
  sourceMajor: Number(values.source) as Major,
  targetMajor: Number(values.target) as Major,
});
try {
  await bench();
} finally {
  await pair.stop();
}

async function bench(): Promise<void> {
  const source = postgres(pair.sourceAdminUrl, { max: 1, onnotice: () => {} });
  const target = postgres(pair.targetAdminUrl, { max: 1, onnotice: () => {} });
  const rows: Measured[] = [];
  const jobs = ['--jobs', values.jobs];
  rows.push(await measured('first run', ['up', ...jobs]));
  await perPhase(target);
  await sizes(target);
  if (values.first) {
    console.table(rows);
    await Promise.all([source.end(), target.end()]);
    return;
  }
  if (!values.proofs) rows.push(...(await increments(source, jobs)));
  rows.push(await measured('verify', ['verify']));
  rows.push(await measured('check', ['check']));
  if (!values.proofs) {
    rows.push(await measured('down of everything', ['down', '1-foundation', '--cascade', '--yes']));
  }
  const first = rows[0]?.seconds ?? 1;
  console.log(`\nsource ${values.source}, target ${values.target}, scale ${values.scale}`);
  console.table(
    Object.fromEntries(
      rows.map((row) => [
        row.what,
        {
          seconds: row.seconds.toFixed(1),
          ratio: `${((100 * row.seconds) / first).toFixed(1)} %`,
          'rows read': row.read,
          'rows changed': row.changed,
          'runner MB': row.runner,
          'largest backend MB': row.backend,
        },
      ]),
    ),
  );
  await source.end();
  await target.end();
}

/** The runs that come after the first one. */
async function increments(source: postgres.Sql, jobs: string[]): Promise<Measured[]> {
  const rows: Measured[] = [];
  await source.unsafe('vacuum analyze');
  rows.push(await measured('nothing changed', ['up', ...jobs]));
  for (const table of TABLES) {
    await source.unsafe(`update ${table} set id = id where id % 100 = 7`);
  }
  rows.push(await measured('1 % changed at random', ['up', ...jobs]));
  // a jaw that no order names would be a reject
  const named = TABLES.filter((table) => table !== 'dispatch_jaw');
  for (const table of named) await append(source, table);
  rows.push(await measured('1 % appended', ['up', ...jobs]));
  rows.push(await measured('compare whole (--full)', ['up', '--full', ...jobs]));
  return rows;
}

async function append(source: postgres.Sql, table: string): Promise<void> {
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
async function measured(what: string, args: string[]): Promise<Measured> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'runner/index.ts', ...args, '--json'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      CI: '1',
      SOURCE_DATABASE_URL: pair.sourceUrl,
      TARGET_DATABASE_URL: pair.targetUrl,
    },
  });
  const began = Date.now();
  let [runner, backend] = [0, 0];
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const timer = setInterval(() => {
    runner = Math.max(runner, memory(child.pid ?? 0, /VmHWM:\s+(\d+)/));
    backend = Math.max(backend, ...backends().map((pid) => memory(pid, /RssAnon:\s+(\d+)/)));
  }, 100);
  const code = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
  });
  clearInterval(timer);
  const seconds = (Date.now() - began) / 1000;
  console.log(`${what}: ${seconds.toFixed(1)} s, exit ${code}`);
  const answer = JSON.parse(output.trimEnd().split('\n').at(-1) ?? '{}') as {
    entities?: { read?: number; inserted?: number | null; updated?: number | null }[];
  };
  const sum = (key: 'read' | 'inserted' | 'updated') =>
    (answer.entities ?? []).reduce((total, entity) => total + (entity[key] ?? 0), 0);
  return {
    what,
    seconds,
    runner,
    backend,
    read: sum('read'),
    changed: sum('inserted') + sum('updated'),
  };
}

function memory(pid: number, pattern: RegExp): number {
  try {
    const found = pattern.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Math.round(Number(found?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}

/** Processes of both servers: children of the two postmasters. */
function backends(): number[] {
  const masters = [pair.source, pair.target].map(({ directory: place }) =>
    Number(readFileSync(join(place, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]),
  );
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => masters.includes(parentOf(pid)));
}

function parentOf(pid: number): number {
  try {
    return Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return 0;
  }
}

async function perPhase(target: postgres.Sql): Promise<void> {
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
  const slow = await target<{ entity: string; seconds: number; rows: number }[]>`
    select entity, extract(epoch from finished_at - started_at)::float8 as seconds,
      source::float8 as rows
    from migration.control order by 2 desc limit 3`;
  console.table(slow);
}

async function sizes(target: postgres.Sql): Promise<void> {
  console.table(
    await target`
      select nspname as schema, pg_size_pretty(sum(pg_total_relation_size(c.oid))) as size
      from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
      where n.nspname in ('public', 'ids', 'migration', 'legacy_archive') and c.relkind = 'r'
      group by 1 order by 1`,
  );
}
