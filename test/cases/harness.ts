/* The cases of this repository as tests; what a case is: checks/cases/index.ts. */
import type { Context, uvu } from 'uvu';
import {
  caseFolders,
  type Cases,
  entityOf,
  openCases,
  type Planted,
  runCase as run,
} from '../../checks/cases/index.ts';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { testPair } from '../pair.ts';
import { ROOT } from '../runner.ts';

let cases: Promise<Cases> | undefined;

/**
 * One test per folder of these phases, and one that no entity is without a folder. `CASE=teams` in
 * the environment leaves all others out.
 */
export function caseTests(test: uvu.Test<Context>, phases: string[]): void {
  const catalog = readCatalog(ROOT);
  const entities = catalog.phases
    .filter(({ name }) => phases.includes(name))
    .flatMap((phase) => phase.entities);
  const folders = caseFolders(ROOT);
  const only = process.env['CASE'];

  test('every entity has a case and every case an entity', () => {
    const known = catalog.phases.flatMap((phase) => phase.entities.map(({ name }) => name));
    const wrong = [
      ...entities
        .filter(({ name }) => !folders.some((folder) => entityOf(folder) === name))
        .map(({ name }) => `entity ${name} has no folder test/cases/${name}`),
      ...folders
        .filter((folder) => !known.includes(entityOf(folder)))
        .map((folder) => `test/cases/${folder} is the case of no entity`),
    ];
    fail(wrong);
  });

  for (const folder of folders) {
    if (!entities.some(({ name }) => name === entityOf(folder))) continue;
    if (only === undefined || folder === only)
      test(folder, async () => fail(await runCase(folder)));
  }
}

/** Plays one case of this repository; the databases go with the servers. */
export async function runCase(folder: string, planted: Planted = {}): Promise<string[]> {
  cases ??= testPair({ name: 'cases', source: 'schema', target: 'schema' }).then((pair) =>
    openCases(ROOT, pair),
  );
  return run(await cases, folder, planted);
}

function fail(lines: string[]): void {
  // without a stack: it would say everything twice, and the place is always here
  if (lines.length > 0) throw Object.assign(new Error(lines.join('\n  ')), { stack: '' });
}
