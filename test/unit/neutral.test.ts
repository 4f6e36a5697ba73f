/*
 * The engine knows no project: nothing that is packed has a word of the one it was made for, and its tests
 * have none. Those of that project are in test/project.
 */
import {
  mkdtempSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../runner.ts';

const WORDS =
  /dispatch|patient|doctor|dental|clinic|orthodont|auth_user|django|profiles|insurance|medical_history|products?\.sku|offices?|jaw|bracket/gi;
/** A command of the runner has that name. */
const COMMAND = /\bdoctor\b/g;
const ENGINE = [
  'runner',
  'sql/engine',
  'checks/engine',
  'checks/cases',
  'checks/static',
  'checks/coverage',
];
/** Pages that tell of a project, and lists of one. */
const ITS_OWN = /^runner\/docs\/(cut-over|decisions)\.md$|^checks\/coverage\/.*\.txt$/;

/** Its tests, and what they share. */
const TESTS = ['test/db', 'test/unit'];
const SHARED = 'test';
/** This file has the words. */
const HERE = 'test/unit/neutral.test.ts';

/** `file:line word` of every word of a project in the engine's files, or in its tests, below a folder. */
function found(root: string): string[] {
  const below = [...ENGINE, ...TESTS].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
      (name) => `${folder}/${name.replaceAll('\\', '/')}`,
    ),
  );
  const shared = readdirSync(join(root, SHARED)).map((name) => `${SHARED}/${name}`);
  return [...below, ...shared]
    .filter((file) => file !== HERE && !ITS_OWN.test(file) && statSync(join(root, file)).isFile())
    .flatMap((file) =>
      `${file}\n${readFileSync(join(root, file), 'utf8')}`
        .split('\n')
        .flatMap((line, number) =>
          [...line.replace(COMMAND, '').matchAll(WORDS)].map(
            ([word]) => `${file}:${number} ${word}`,
          ),
        ),
    );
}

test('the engine and its tests name no table, column or word of the first project', () => {
  assert.equal(found(ROOT), []);
});

test('a word of it would be found, the command `doctor` is none', () => {
  const root = mkdtempSync(join(tmpdir(), 'neutral-'));
  for (const folder of [...ENGINE, ...TESTS]) mkdirSync(join(root, folder), { recursive: true });
  for (const [file, text] of [
    ['runner/commands/doctor.ts', "// `runner doctor`\nconst name = 'doctor';\n"],
    ['runner/x.ts', 'a\nselect from public.patients, "Doctors", doctor_id\n'],
    ['sql/engine/20_x.sql', '-- Django\n'],
    ['checks/engine/offices.sql', ''],
    ['test/db/a.test.ts', 'dental'],
    ['test/shared.ts', 'clinic'],
    ['test/project/a.test.ts', 'dental'],
    ['runner/docs/cut-over.md', 'dispatch_order'],
    ['checks/coverage/left-out.txt', 'dispatch_order'],
  ] as const) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  const words = found(root).toSorted();
  rmSync(root, { recursive: true });
  assert.equal(words, [
    'checks/engine/offices.sql:0 offices',
    'runner/x.ts:2 Doctor',
    'runner/x.ts:2 doctor',
    'runner/x.ts:2 patient',
    'sql/engine/20_x.sql:1 Django',
    'test/db/a.test.ts:1 dental',
    'test/shared.ts:1 clinic',
  ]);
});

test.run();
