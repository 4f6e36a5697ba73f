/*
 * Runs test files: tsx test/run.ts <file or folder>...
 *
 * uvu alone exits 0 after an error in before(), a forgotten .run(), an empty folder and a leftover
 * .only, and nothing has a deadline. Here each of them fails. Every file has a process of its own
 * and 120 seconds, or as many as a line `// deadline <seconds>` in it says; those with the longest deadline
 * come first, so that none of them is alone at the end.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Reply, Request, Wanted } from './ask.ts';
import { ANSWERS } from './kept-children.ts';
import { openPairs } from './pair.ts';
import { carryOut } from './loaded.ts';
import type { Note, Report, Running } from './run-file.ts';

type Result = Omit<Report, 'kind'> & { output: string; seconds: number };

// one more than the two cores of CI: a file that waits for a server, a lock or a child leaves one idle
const AT_ONCE = 3;
const DEADLINE_SECONDS = 120;
const GRACE_SECONDS = 5;
const RUN_FILE = fileURLToPath(new URL('run-file.ts', import.meta.url));

const pairs = openPairs();
process.env[ANSWERS] = pairs.answers;
const running = new Set<ChildProcess>();

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    const ends = [...running].map((child) => once(child, 'close'));
    for (const child of running) killGroup(child);
    Promise.all(ends)
      .then(() => pairs.close())
      .catch((error: unknown) => console.error(error))
      .finally(() => process.exit(130));
  });
}
process.exitCode = await main(process.argv.slice(2));

async function main(paths: string[]): Promise<number> {
  if (paths.length === 0) {
    console.error('usage: tsx test/run.ts <file or folder>...');
    return 2;
  }
  const total = { passed: 0, failed: 0, skipped: [] as string[] };
  const queue: string[] = [];
  for (const path of paths) {
    const files = testFiles(path);
    queue.push(...files);
    if (files.length > 0) continue;
    console.log(`FAIL ${path}  no test files (*.test.ts) there`);
    total.failed += 1;
  }
  const deadlines = new Map(queue.map((file) => [file, deadlineOf(file)]));
  queue.sort((a, b) => (deadlines.get(b) ?? 0) - (deadlines.get(a) ?? 0));

  const work = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file);
      print(file, result);
      total.passed += result.passed;
      total.failed += result.failed + result.problems.length;
      total.skipped.push(...result.skipped.map((name) => `${file}: ${name}`));
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } finally {
    await pairs.close();
  }

  for (const name of total.skipped) console.log(`skipped ${name}`);
  const skipped = total.skipped.length > 0 ? `, ${total.skipped.length} skipped` : '';
  console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
  return total.failed > 0 ? 1 : 0;
}

function testFiles(path: string): string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isDirectory()) return found && path.endsWith('.test.ts') ? [path] : [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .toSorted()
    .map((name) => join(path, name));
}

function deadlineOf(file: string): number {
  const declared = /^\/\/ deadline (\d+)/m.exec(readFileSync(file, 'utf8'));
  return declared ? Number(declared[1]) : DEADLINE_SECONDS;
}

async function runFile(file: string): Promise<Result> {
  const started = Date.now();
  const seconds = deadlineOf(file);
  const child = fork(RUN_FILE, [file], {
    execArgv: ['--import', import.meta.resolve('tsx')],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // a group of its own: what the tests start is ended with them
    detached: true,
  });
  running.add(child);
  const abandoned = new AbortController();
  // as many commands as the file likes
  setMaxListeners(0, abandoned.signal);

  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  let current = '';
  let late = '';
  let report: Report | undefined;
  const giveUp = (after: number, what: string): NodeJS.Timeout =>
    setTimeout(() => {
      late = what;
      killGroup(child);
    }, after * 1000);
  let timer = giveUp(seconds, `deadline of ${seconds} s exceeded`);
  child.on('message', (message: Report | Running | Note | Request) => {
    if ('wanted' in message) {
      reply(child, message, abandoned.signal).catch((error: unknown) => console.error(error));
      return;
    }
    if (message.kind === 'note') console.log(`     ${file}: ${message.text}`);
    if (message.kind === 'running') current = message.name;
    if (message.kind !== 'report') return;
    report = message;
    clearTimeout(timer);
    timer = giveUp(GRACE_SECONDS, `still running ${GRACE_SECONDS} s after its last test`);
  });

  const [code, signal] = await new Promise<[number | null, string | null]>((done) =>
    child.once('close', (...end) => done(end)),
  );
  clearTimeout(timer);
  killGroup(child);
  abandoned.abort();
  running.delete(child);

  const result: Omit<Report, 'kind'> = report ?? {
    passed: 0,
    failed: 0,
    skipped: [],
    problems: [],
  };
  const end = late || (report && code === 0 ? '' : `ended with ${signal ?? `exit code ${code}`}`);
  if (end) result.problems.push(report || !current ? end : `${end}, in test "${current}"`);
  return { ...result, output, seconds: (Date.now() - started) / 1000 };
}

async function reply(child: ChildProcess, request: Request, ended: AbortSignal): Promise<void> {
  const answer = await found(request.wanted, ended).then(
    (result): Reply => ({ id: request.id, answer: result }),
    (error: unknown): Reply => ({ id: request.id, error: String(error) }),
  );
  if (child.connected) child.send(answer);
}

function found(wanted: Wanted, ended: AbortSignal): Promise<unknown> {
  if (wanted.kind === 'pair') return pairs.get(wanted.majors);
  if (wanted.kind === 'migrated') return pairs.migrated();
  return carryOut(wanted.asked, ended);
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // nothing of it is left
  }
}

function print(file: string, { passed, failed, problems, output, seconds }: Result): void {
  const bad = failed + problems.length;
  const counts = bad > 0 ? `${passed} passed, ${bad} failed` : `${passed} passed`;
  console.log(`${bad > 0 ? 'FAIL' : 'ok  '} ${file}  ${counts}  ${seconds.toFixed(1)} s`);
  if (bad === 0) return;
  if (output.trim()) console.log(output.trimEnd());
  for (const problem of problems) console.log(`  ${problem}`);
}
