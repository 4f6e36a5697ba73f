import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isAlive } from '../../runner/embedded/machine.ts';

const RUN = fileURLToPath(new URL('../run.ts', import.meta.url));
const PLANTED = fileURLToPath(new URL(`../../.embedded/run-${process.pid}/`, import.meta.url));
const UVU = `import { suite, test } from 'uvu'; import * as assert from 'uvu/assert';`;

test.before.each(() => {
  mkdirSync(PLANTED, { recursive: true });
});
test.after.each(() => rmSync(PLANTED, { recursive: true, force: true }));

function start(...paths: string[]): ChildProcess {
  const options = ['--import', import.meta.resolve('tsx'), RUN, ...paths];
  return spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function run(...paths: string[]): Promise<{ code: number; output: string; last: string }> {
  const child = start(...paths);
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, output, last: output.trimEnd().split('\n').at(-1) ?? '' };
}

async function runPlanted(body: string): ReturnType<typeof run> {
  writeFileSync(join(PLANTED, 'planted.test.ts'), `${UVU}\n${body}\n`);
  return await run(PLANTED);
}

test('tests that pass exit 0 and are counted one by one', async () => {
  writeFileSync(join(PLANTED, 'one.test.ts'), `${UVU} test('a', () => {}); test.run();`);
  writeFileSync(
    join(PLANTED, 'two.test.ts'),
    `${UVU} const s = suite('s'); s('b', () => {}); s('c', () => {}); s.run();`,
  );
  const { code, last } = await run(PLANTED);
  assert.is(last, '3 passed, 0 failed');
  assert.is(code, 0);
});

test('an empty folder fails', async () => {
  const { code, output, last } = await run(PLANTED);
  assert.match(output, 'no test files');
  assert.is(last, '0 passed, 1 failed');
  assert.is(code, 1);
});

test('a path that does not exist fails', async () => {
  const { code, output } = await run(join(PLANTED, 'nowhere'));
  assert.match(output, 'no test files');
  assert.is(code, 1);
});

/** Files that must fail, by what is wrong with them: what their line counts, and what is said. */
const FAILING: Record<string, { body: string; counts: string; said?: string }> = {
  'a failing assertion': {
    body: `test('good', () => {}); test('bad', () => assert.is('apple', 'pear')); test.run();`,
    counts: '1 passed, 1 failed',
    said: 'apple',
  },
  'no tests': { body: 'test.run();', counts: '0 passed, 1 failed', said: 'no test was run' },
  'a file that cannot be imported': {
    body: `import './missing.ts'; test.run();`,
    counts: '0 passed, 1 failed',
    said: 'cannot be run',
  },
  'a forgotten .run()': {
    body: `test('runs', () => {}); test.run(); const s = suite('lost'); s('never', () => {});`,
    counts: '1 passed, 1 failed',
    said: '1 tests of suite "lost" have no .run() after them',
  },
  'a forgotten .run() where suites have no names': {
    body: `const s = suite(); s('never', () => {}); test('runs', () => {}); test.run();`,
    counts: '1 passed, 1 failed',
  },
  'a test after .run()': {
    body: `test('runs', () => {}); test.run(); test('never', () => {});`,
    counts: '1 passed, 1 failed',
  },
  'an error in before(): every test of the suite fails': {
    body: `test.before(() => { throw new Error('no apples'); });
      test('a', () => {}); test('b', () => {}); test.run();`,
    counts: '0 passed, 2 failed',
    said: 'no apples',
  },
  'an error in after()': {
    body: `test.after(() => { throw new Error('no pears'); }); test('a', () => {}); test.run();`,
    counts: '1 passed, 1 failed',
    said: 'no pears',
  },
  'an error in after.each()': {
    body: `test.after.each(() => { throw new Error('no plums'); }); test('a', () => {}); test.run();`,
    counts: '0 passed, 1 failed',
    said: 'no plums',
  },
  'a leftover .only, which hides no other test': {
    body: `test.only('me', () => {}); test('others', () => {}); test.run();`,
    counts: '2 passed, 1 failed',
    said: 'leftover .only: "me"',
  },
  'a test beyond the deadline of its file, which is named': {
    body: `// deadline 6\ntest('sleeper', () => new Promise((r) => setTimeout(r, 60_000))); test.run();`,
    counts: '0 passed, 1 failed',
    said: 'deadline of 6 s exceeded, in test "sleeper"',
  },
  'a test that waits for nothing': {
    body: `test('never', () => new Promise(() => {})); test.run();`,
    counts: '0 passed, 1 failed',
  },
  'process.exit(0) in a test': {
    body: `test('quits', () => process.exit(0)); test.run();`,
    counts: '0 passed, 1 failed',
    said: 'ended with exit code 0, in test "quits"',
  },
  'something left open after the last test': {
    body: `test('opens', () => { setInterval(() => {}, 1000); }); test.run();`,
    counts: '1 passed, 1 failed',
    said: 'still running 5 s after its last test',
  },
  'a promise nobody waited for that is rejected late': {
    body: `test('a', () => { setTimeout(() => Promise.reject(new Error('late')), 300); }); test.run();`,
    counts: '1 passed, 1 failed',
  },
};

/** What one run of all of them says of each: its line and all that follows it. */
async function runFailing(): Promise<{ code: number; last: string; said: Map<string, string> }> {
  const names = Object.keys(FAILING);
  const fileOf = (name: string): string => join(PLANTED, `${names.indexOf(name)}.test.ts`);
  for (const [name, { body }] of Object.entries(FAILING)) {
    writeFileSync(fileOf(name), `${UVU}\n${body}\n`);
  }
  const { code, output, last } = await run(PLANTED);
  const blocks = output.split(/^(?=(?:ok  |FAIL) )/m);
  const block = (name: string): string =>
    blocks.find((each) => each.startsWith(`FAIL ${fileOf(name)} `)) ?? '';
  return { code, last, said: new Map(names.map((name) => [name, block(name)])) };
}

test('files in which something is wrong fail, each with what it is', async () => {
  const { code, last, said } = await runFailing();
  for (const [name, { counts, said: words = '' }] of Object.entries(FAILING)) {
    assert.match(said.get(name) ?? '', counts, name);
    assert.ok(said.get(name)?.includes(words), `${name}: ${said.get(name)}`);
  }
  const sum = (index: number): number =>
    Object.values(FAILING).reduce(
      (all, { counts }) => all + Number(/(\d+) passed, (\d+)/.exec(counts)?.[index]),
      0,
    );
  assert.is(last, `${sum(1)} passed, ${sum(2)} failed`);
  assert.is(code, 1);
});

test('one of them is enough for exit 1', async () => {
  const { code, last } = await runPlanted(`test('a', () => assert.ok(false)); test.run();`);
  assert.is(last, '0 passed, 1 failed');
  assert.is(code, 1);
});

test('skipped tests are counted and named', async () => {
  const { code, output, last } = await runPlanted(
    `test('a', () => {}); test.skip('some day', () => {}); test.run();`,
  );
  assert.match(output, /skipped .*planted\.test\.ts: some day/);
  assert.is(last, '1 passed, 0 failed, 1 skipped');
  assert.is(code, 0);
});

test('Ctrl-C ends the tests and what they started', async () => {
  const pidFile = join(PLANTED, 'pid');
  writeFileSync(
    join(PLANTED, 'planted.test.ts'),
    `${UVU} import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs';
     test('sleeps', async () => {
       const { pid } = spawn('sleep', ['60']);
       writeFileSync(${JSON.stringify(pidFile)}, String(pid));
       await new Promise((r) => setTimeout(r, 60_000));
     });
     test.run();`,
  );
  const child = start(PLANTED);
  const closed = once(child, 'close');
  while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8') === '') await sleep(50);
  child.kill('SIGINT');
  assert.is((await closed)[0], 130);
  const pid = Number(readFileSync(pidFile, 'utf8'));
  for (let tick = 0; tick < 50 && isAlive(pid); tick++) await sleep(50);
  assert.not(isAlive(pid));
});

test.run();
