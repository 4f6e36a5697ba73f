import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkFiles } from '../../checks/child.ts';
import { staticProblems } from '../../checks/static/index.ts';
import { askChild } from '../../runner/child.ts';

// One folder = one case, named after the rule it breaks: a small project and the file `expect` with the lines
// `file:line:column rule` of everything that must be found, and nothing else.
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const fixtures = join(root, 'test/fixtures/static');
const cases = readdirSync(fixtures).toSorted();

for (const name of cases) {
  test(name, async () => {
    const expected = readFileSync(join(fixtures, name, 'expect'), 'utf8')
      .split('\n')
      .filter(Boolean);
    const problems = await staticProblems(join(fixtures, name), join(fixtures, name));
    const found = problems.map((each) => `${each.file}:${each.line}:${each.column} ${each.rule}`);
    assert.equal(found, expected);
    for (const { message, fix } of problems) assert.ok(message !== '' && fix !== '');
  });
}

test('every rule has a case that breaks it', () => {
  const helpers = ['index', 'literals', 'sql'];
  const rules = readdirSync(join(root, 'checks/static')).map((file) => file.replace(/\.ts$/, ''));
  const missing = rules
    .filter((rule) => !helpers.includes(rule))
    .filter((rule) => !cases.some((name) => name === rule || name.startsWith(`${rule}-`)));
  assert.equal(missing, []);
});

test('every case says what it expects', () => {
  assert.ok(cases.length > 0);
  assert.equal(
    cases.filter((name) => !existsSync(join(fixtures, name, 'expect'))),
    [],
  );
});

test('a child that cannot do its work says why', async () => {
  const project = mkdtempSync(join(tmpdir(), 'static-'));
  try {
    writeFileSync(join(project, 'sql'), 'a file where a folder belongs');
    const error = await checkFiles({ root: project, rules: true }).then(
      () => undefined,
      (reason: Error) => reason,
    );
    assert.match(error?.message ?? '', /^the files were not checked: ENOTDIR.*sql/);
  } finally {
    rmSync(project, { recursive: true });
  }
});

test('a child that ends without an answer has given none', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'static-'));
  try {
    const module = join(folder, 'child.mjs');
    writeFileSync(module, `process.on('message', () => process.exit(7));`);
    const error = await askChild(pathToFileURL(module).href, {}, 'it was not done').then(
      () => undefined,
      (reason: Error) => reason,
    );
    assert.is(error?.message, 'it was not done: exit 7');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
