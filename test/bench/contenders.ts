import { startProxy } from '../faults/proxy.ts';
import type { Taken } from './elt/steps.ts';
import { readPlan } from './elt/plan.ts';
import { runElt, targetsOf } from './elt/run.ts';
import { hasPgcopydb, runPgcopydb } from './pgcopydb.ts';
import { countRows, type Place, type Wishes } from './place.ts';
import { runRows500 } from './rows500.ts';
import { firstRun, laterRuns, printPhases, type Extent, type Measured } from './toolkit.ts';

/** What the rounds have found out so far. */
export interface Found {
  /** Seconds by what was measured, one per round. */
  seconds: Map<string, number[]>;
  /** Every invocation of the runner. */
  runs: Measured[];
  /** Rows per target table after the first run of the toolkit. */
  rows: Map<string, number> | undefined;
  /** Tables in which an ELT has another number of rows. */
  differing: string[];
  /** Contenders that did not come to an end. */
  failed: string[];
}

/** How all of them are run. */
export interface Settings {
  jobs: string;
  extent: Extent;
  /** Entities the ELT leaves out. */
  left: string[];
}

/** Somebody who does the work, or a part of it. */
export interface Contender {
  name: string;
  wishes: Wishes;
  /** Whether the additive schema changes are made for it before the clock starts. */
  changedSchema?: boolean;
  run(place: Place, settings: Settings, found: Found): Promise<void>;
}

/** May differ by this share of the rows. */
const TOLERANCE = 0.005;
/** Milliseconds that everything is held back on its way, each way. */
const DELAY = 25;

/** In the order in which they take turns. */
export const CONTENDERS: Contender[] = [
  {
    name: 'toolkit',
    wishes: { ownSource: true },
    async run(place, { jobs, extent }, found) {
      record(found, await firstRun(place, jobs));
      const isFirst = found.rows === undefined;
      found.rows = await countRows(place.targetAdminUrl, targetsOf(readPlan()));
      if (isFirst) await printPhases(place);
      await laterRuns(place, jobs, extent, (run) => record(found, run));
    },
  },
  { name: 'eltKeys', wishes: {}, changedSchema: true, run: (...given) => elt(false, ...given) },
  { name: 'eltDropped', wishes: {}, changedSchema: true, run: (...given) => elt(true, ...given) },
  {
    name: 'rows500',
    wishes: {},
    changedSchema: true,
    async run(place, { jobs }, found) {
      const { rows, rowsPerSecond, all } = await runRows500(place, Number(jobs));
      const seconds = all / rowsPerSecond;
      console.log(
        `  row batches of 500: ${rows} rows of five tables at ${Math.round(rowsPerSecond)} rows/s; ` +
          `extrapolated to all ${all} rows: ${seconds.toFixed(1)} s`,
      );
      add(found, 'rows500', seconds);
    },
  },
  {
    name: 'pgcopydb',
    wishes: { emptyTarget: true },
    async run(place, { jobs }, found) {
      if (!hasPgcopydb()) {
        console.log('  pgcopydb is not installed: not measured');
        return;
      }
      const seconds = await runPgcopydb(place, [...readPlan().staged.keys()], jobs);
      console.log(`  pgcopydb: ${seconds.toFixed(1)} s`);
      add(found, 'pgcopydb', seconds);
    },
  },
  {
    name: 'delay50',
    wishes: {},
    async run(place, { jobs }, found) {
      const proxy = await startProxy({ port: place.pair.target.port });
      proxy.delay(DELAY);
      const far = new URL(place.targetUrl);
      far.port = String(proxy.port);
      try {
        const first = await firstRun({ ...place, targetUrl: far.href }, jobs);
        record(found, { ...first, key: 'delay50', what: 'first run, 50 ms away' });
      } finally {
        await proxy.stop();
      }
    },
  },
];

async function elt(
  dropKeys: boolean,
  place: Place,
  { jobs, left }: Settings,
  found: Found,
): Promise<void> {
  const name = dropKeys ? 'eltDropped' : 'eltKeys';
  const began = performance.now();
  const taken = await runElt(place, { jobs: Number(jobs), dropKeys, left });
  const seconds = (performance.now() - began) / 1000;
  console.log(`  ${name}: ${seconds.toFixed(1)} s; ${inParts(taken)}`);
  add(found, name, seconds);
  await compareRows(place, found, name);
}

/** Where the time went, over all sessions. */
function inParts(taken: Taken[]): string {
  const of = (pattern: RegExp) =>
    sum(taken.filter(({ name }) => pattern.test(name)).map(({ seconds }) => seconds)).toFixed(1);
  const slow = taken.toSorted((a, b) => b.seconds - a.seconds).slice(0, 3);
  return (
    `copy ${of(/^copy /)}, insert ${of(/^[\w.]+$/)}, indexes ${of(/^indexes/)}, ` +
    `foreign keys ${of(/foreign keys/)}; ` +
    slow.map(({ name, seconds }) => `${name} ${seconds.toFixed(1)}`).join(', ')
  );
}

/** A contender that does less is no contender. */
async function compareRows(place: Place, found: Found, name: string): Promise<void> {
  if (found.rows === undefined) {
    console.log('  rows not compared: the toolkit did not run');
    return;
  }
  const counts = await countRows(place.targetAdminUrl, [...found.rows.keys()]);
  const differing = [...found.rows].filter(
    ([table, rows]) => Math.abs((counts.get(table) ?? 0) - rows) > TOLERANCE * rows,
  );
  for (const [table, rows] of differing) {
    console.log(
      `  NOT COMPARABLE: ${table} has ${counts.get(table)} rows by ${name}, ${rows} by the toolkit`,
    );
    found.differing.push(`${table} (${name})`);
  }
  if (differing.length === 0) {
    console.log(`  rows: as many in each of ${counts.size} tables as the toolkit, within 0.5 %`);
  }
}

function record(found: Found, run: Measured): void {
  found.runs.push(run);
  add(found, run.key, run.seconds);
}

function add(found: Found, key: string, seconds: number): void {
  found.seconds.set(key, [...(found.seconds.get(key) ?? []), seconds]);
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
