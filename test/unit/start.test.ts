/* Ways to start the runner: installed, linked, from any directory, with tsx and without. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { note, ROOT } from '../runner.ts';

const { bin, version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  bin: Record<string, string>;
  version: string;
};

function start(file: string, args: string[], cwd: string) {
  const ended = spawnSync(process.execPath, [file, ...args], { cwd, encoding: 'utf8' });
  assert.is(ended.stderr, '', file);
  assert.is(ended.status, 0, file);
  return ended.stdout;
}

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'start-'));
}

test('the command `runner` of package.json works from any directory', () => {
  assert.equal(Object.keys(bin), ['runner']);
  assert.is(start(join(ROOT, bin['runner'] ?? ''), ['--version'], tmpdir()), `${version}\n`);
});

test('a link to it works, as `npm link` makes one', () => {
  const place = folder();
  symlinkSync(join(ROOT, bin['runner'] ?? ''), join(place, 'runner'));
  assert.is(start(join(place, 'runner'), ['--version'], place), `${version}\n`);
  rmSync(place, { recursive: true });
});

test('installed into node_modules, where Node does not read TypeScript, it starts and has children', () => {
  const place = folder();
  const installed = join(place, 'node_modules', 'legacy-to-supabase');
  mkdirSync(installed, { recursive: true });
  for (const part of ['runner', 'sql', 'checks', 'schema-changes', 'package.json', 'test']) {
    cpSync(join(ROOT, part), join(installed, part), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(installed, 'node_modules'));
  const file = join(installed, bin['runner'] ?? '');
  assert.is(start(file, ['--version'], place), `${version}\n`);
  // the views are read in a process of its own
  assert.match(start(file, ['check', 'coverage', '--static'], place), /^coverage: of \d+/m);
  rmSync(place, { recursive: true });
});

test('where Node reads TypeScript, nothing stands between', () => {
  // @types/node is that of the oldest Node
  const { typescript } = process.features as { typescript?: unknown };
  if (!typescript) return note('this Node does not read TypeScript itself');
  const index = join(ROOT, 'runner/index.ts');
  assert.is(start(index, ['--version'], tmpdir()), `${version}\n`);
  assert.match(start(index, ['check', 'coverage', '--static'], tmpdir()), /^coverage: of \d+/m);
});

test.run();
