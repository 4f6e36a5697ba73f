/*
 * The tests of this folder for one pair of releases after the other, and a table at the end:
 * npm run test:matrix [-- --source 11 --target 16]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { majorOf, RELEASES } from '../../runner/embedded/releases.ts';
import { ROOT } from '../runner.ts';
import { installRelease } from './install.ts';
import { type MatrixPair, NOT_TRIED, PAIRS } from './pairs.ts';

type Row = MatrixPair & {
  passed: number;
  failed: number;
  seconds: number;
  /** Digest of the migrated rows. */
  rows: string | undefined;
};
type Counts = Pick<Row, 'passed' | 'failed' | 'rows'>;

const { values } = parseArgs({
  options: { source: { type: 'string' }, target: { type: 'string' } },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const pairs = chosen();
  if (pairs.length === 0) {
    console.error(`releases there are binaries of: ${Object.keys(RELEASES).join(', ')}`);
    console.error(`none are there of: ${NOT_TRIED.join(', ')}`);
    return 2;
  }
  const rows: Row[] = [];
  for (const pair of pairs) rows.push(await tried(pair));
  console.log(
    `\nnot tried: source ${NOT_TRIED.join(' and ')} (no npm package brings their binaries)`,
  );
  print(rows);
  const same = new Set(rows.map((row) => row.rows)).size === 1;
  console.log(`\nthe rows of the first run are ${same ? 'the same' : 'NOT THE SAME'} in all pairs`);
  return same && rows.every(({ failed }) => failed === 0) ? 0 : 1;
}

/** The pairs of the list that are asked for; one that is named in full need not be in the list. */
function chosen(): MatrixPair[] {
  const { source, target } = values;
  if (source !== undefined && target !== undefined) {
    const pair = { source: majorOf(source), target: majorOf(target) };
    return pair.source && pair.target ? [{ source: pair.source, target: pair.target }] : [];
  }
  return PAIRS.filter(
    (pair) =>
      (source === undefined || String(pair.source) === source) &&
      (target === undefined || String(pair.target) === target),
  );
}

async function tried({ source, target }: MatrixPair): Promise<Row> {
  const started = Date.now();
  console.log(`\n--- source ${source}, target ${target}`);
  let counts: Counts = { passed: 0, failed: 1, rows: undefined };
  try {
    for (const major of [source, target]) await installRelease(major);
    counts = await runTests({ source, target });
  } catch (error) {
    console.log(`FAIL ${(error as Error).message}`);
  }
  return { source, target, ...counts, seconds: (Date.now() - started) / 1000 };
}

async function runTests({ source, target }: MatrixPair): Promise<Counts> {
  const child = spawn(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), 'test/run.ts', 'test/matrix'],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, MATRIX_SOURCE: String(source), MATRIX_TARGET: String(target) },
    },
  );
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    process.stdout.write(chunk);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  const closing = [...output.matchAll(/^(\d+) passed, (\d+) failed/gm)].at(-1);
  const [passed, failed] = [Number(closing?.[1] ?? 0), Number(closing?.[2] ?? 0)];
  return {
    passed,
    // a run that fails and counts no failure, or ends without its closing line, is a failure
    failed: code === 0 && closing !== undefined ? failed : Math.max(failed, 1),
    rows: /: rows ([0-9a-f]+)$/m.exec(output)?.[1],
  };
}

function print(rows: Row[]): void {
  const heads = ['source', 'target', 'passed', 'failed', 'seconds'] as const;
  console.log(`\n${heads.map((head) => head.padStart(8)).join('')}`);
  for (const row of rows) {
    console.log(heads.map((head) => row[head].toFixed(0).padStart(8)).join(''));
  }
}
