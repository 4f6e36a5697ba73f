/* What the READMEs point at is there. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT, runner } from '../runner.ts';

const PAGES = [
  'README.md',
  'sql/README.md',
  'runner/README.md',
  'runner/docs/cut-over.md',
  'runner/docs/decisions.md',
  'runner/docs/unreachable-source.md',
  'runner/docs/your-own-database.md',
  'test/README.md',
  '.github/CONTRIBUTING.md',
];

/** `[`file:12`](link) `words``: a place in a file, and what stands there. */
const PLACE = /\[`([^`:]+):(\d+)`\]\(([^)#]+)#L(\d+)\) `([^`]+)`/g;

/** A call of the runner in a page, up to the end of its line, its span of code or its comment. */
const CALL = /npx tsx runner ([a-z]+)((?: [^\s`#|&]+)*)/g;

test('the answers to the ten questions stand where they say', () => {
  const page = readFileSync(join(ROOT, 'runner/README.md'), 'utf8');
  const places = [...page.matchAll(PLACE)];
  assert.ok(places.length >= 10);
  for (const [, file = '', line = '', link = '', linked = '', words = ''] of places) {
    assert.is(join('runner', link), file);
    assert.is(linked, line, file);
    const there = readFileSync(join(ROOT, file), 'utf8').split('\n')[Number(line) - 1] ?? '';
    assert.ok(there.includes(words), `${file}:${line} is not ${words}, but ${there}`);
  }
});

test('files that the pages name exist', () => {
  for (const page of PAGES) {
    const text = readFileSync(join(ROOT, page), 'utf8').replaceAll(/```[^]*?```|`git [^`]*`/g, '');
    const named = [...text.matchAll(/`((?:[\w.-]+\/)*[\w.-]+\.(?:ts|md|json|txt))`/g)].map(
      ([, name = '']) => name,
    );
    const rooms = [
      'runner',
      'runner/engine',
      'runner/commands',
      'runner/schema',
      'runner/report',
      'runner/terminal',
      'runner/scaffold',
      'runner/embedded',
      'test',
    ];
    const places = [ROOT, dirname(join(ROOT, page)), ...rooms.map((room) => join(ROOT, room))];
    const lost = named.filter((name) => !places.some((place) => existsSync(join(place, name))));
    assert.equal(lost, [], page);
  }
});

test('commands that the pages name are there, with their options', async () => {
  const helps = new Map<string, string>();
  let seen = 0;
  for (const page of PAGES) {
    const text = readFileSync(join(ROOT, page), 'utf8');
    for (const [call, name = '', rest = ''] of text.matchAll(CALL)) {
      const help = helps.get(name) ?? (await runner(null, [name, '--help'])).stdout;
      helps.set(name, help);
      assert.match(help, `Usage: runner ${name}`, `${page}: ${call}`);
      for (const [option] of rest.matchAll(/--[a-z-]+/g)) {
        assert.ok(
          new RegExp(`^ +(-\\w, )?${option}\\b`, 'm').test(help),
          `${page}: ${call}: ${option}`,
        );
      }
      seen += 1;
    }
  }
  assert.ok(seen > 50, `${seen}`);
});

test('no page names an absolute path', () => {
  for (const page of PAGES) {
    assert.not.match(readFileSync(join(ROOT, page), 'utf8'), /(^|[\s`(])\/(work|home|root|tmp)\//);
  }
});

test.run();
