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

test('a failing assertion fails, with its output', async () => {
  const { code, output, last } = await runPlanted(
    `test('good', () => {}); test('bad', () => assert.is('apple', 'pear')); test.run();`,
  );
  assert.is(last, '1 passed, 1 failed');
  assert.match(output, 'apple');
  assert.is(code, 1);
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

test('a file without tests fails', async () => {
  const { code, output } = await runPlanted('test.run();');
  assert.match(output, 'no test was run');
  assert.is(code, 1);
});

test('a file that cannot be imported fails', async () => {
  const { code, output, last } = await runPlanted(`import './missing.ts'; test.run();`);
  assert.match(output, 'cannot be run');
  assert.is(last, '0 passed, 1 failed');
  assert.is(code, 1);
});

test('a forgotten .run() fails', async () => {
  const { code, output } = await runPlanted(
    `test('runs', () => {}); test.run(); const s = suite('lost'); s('never', () => {});`,
  );
  assert.match(output, '1 tests of suite "lost" have no .run() after them');
  assert.is(code, 1);
});

test('a forgotten .run() fails also where suites have no names', async () => {
  const { code, last } = await runPlanted(
    `const s = suite(); s('never', () => {}); test('runs', () => {}); test.run();`,
  );
  assert.is(last, '1 passed, 1 failed');
  assert.is(code, 1);
});

test('a test after .run() fails', async () => {
  const { code, last } = await runPlanted(
    `test('runs', () => {}); test.run(); test('never', () => {});`,
  );
  assert.is(last, '1 passed, 1 failed');
  assert.is(code, 1);
});

test('an error in before() fails every test of the suite and is shown', async () => {
  const { code, output, last } = await runPlanted(
    `test.before(() => { throw new Error('no apples'); });
     test('a', () => {}); test('b', () => {}); test.run();`,
  );
  assert.match(output, 'no apples');
  assert.is(last, '0 passed, 2 failed');
  assert.is(code, 1);
});

test('an error in after() fails', async () => {
  const { code, output, last } = await runPlanted(
    `test.after(() => { throw new Error('no pears'); }); test('a', () => {}); test.run();`,
  );
  assert.match(output, 'no pears');
  assert.is(last, '1 passed, 1 failed');
  assert.is(code, 1);
});

test('an error in after.each() fails', async () => {
  const { code, output } = await runPlanted(
    `test.after.each(() => { throw new Error('no plums'); }); test('a', () => {}); test.run();`,
  );
  assert.match(output, 'no plums');
  assert.is(code, 1);
});

test('a leftover .only fails and hides no other test', async () => {
  const { code, output, last } = await runPlanted(
    `test.only('me', () => {}); test('others', () => {}); test.run();`,
  );
  assert.match(output, 'leftover .only: "me"');
  assert.is(last, '2 passed, 1 failed');
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

test('a test beyond the deadline of its file fails and is named', async () => {
  const { code, output, last } = await runPlanted(
    `// deadline 2\ntest('sleeper', () => new Promise((r) => setTimeout(r, 60_000))); test.run();`,
  );
  assert.match(output, 'deadline of 2 s exceeded, in test "sleeper"');
  assert.is(last, '0 passed, 1 failed');
  assert.is(code, 1);
});

test('a test that waits for nothing fails', async () => {
  const { code } = await runPlanted(`test('never', () => new Promise(() => {})); test.run();`);
  assert.is(code, 1);
});

test('process.exit(0) in a test fails', async () => {
  const { code, output } = await runPlanted(`test('quits', () => process.exit(0)); test.run();`);
  assert.match(output, 'ended with exit code 0, in test "quits"');
  assert.is(code, 1);
});

test('something left open after the last test fails', async () => {
  const { code, output, last } = await runPlanted(
    `test('opens', () => { setInterval(() => {}, 1000); }); test.run();`,
  );
  assert.match(output, 'still running 5 s after its last test');
  assert.is(last, '1 passed, 1 failed');
  assert.is(code, 1);
});

test('a promise nobody waited for fails when it is rejected late', async () => {
  const { code, last } = await runPlanted(
    `test('a', () => { setTimeout(() => Promise.reject(new Error('late')), 300); }); test.run();`,
  );
  assert.is(last, '1 passed, 1 failed');
  assert.is(code, 1);
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
