// deadline 120
/* What `scaffold` drafts of tables as they are in the real world: those of this project. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { staticProblems } from '../../checks/static/index.ts';
import { draftFor, likeliestOf } from '../../runner/commands/scaffold.ts';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { PreflightFailed } from '../../runner/engine/run.ts';
import { readBoth } from '../../runner/scaffold/tables.ts';
import { entityText } from '../../runner/scaffold/text.ts';
import { configOf, errorOf, migrate } from '../migrate.ts';
import { testPair } from '../pair.ts';
import { tinyProject } from '../runner.ts';

test('of every table of the sample that is like one of the application, the draft is sound', async () => {
  const pair = await testPair({ name: 'drafts', source: 'schema' });
  const project = tinyProject({ 'sql/1-all/.gitkeep': '' });
  const { source, target } = await readBoth(configOf(pair), {
    source: ['public'],
    target: ['public'],
  });
  const open = source.flatMap((table) => {
    const like = likeliestOf(table, target);
    return like === undefined ? [] : [{ table, like }];
  });
  assert.ok(open.length >= 30, `${open.length}`);
  for (let number = 10; open.length > 0; number += 1) {
    // referred tables first, as far as there are no circles
    const names = open.map(({ table }) => table.name);
    const free = open.findIndex(({ table: { name, foreign_keys: keys } }) =>
      keys.every((key) => key.table === name || !names.includes(key.table)),
    );
    for (const { table, like } of open.splice(Math.max(free, 0), 1)) {
      const draft = draftFor(readCatalog(project.root), source, table, like);
      writeFileSync(join(project.root, `sql/1-all/${number}_${draft.name}.sql`), entityText(draft));
    }
  }
  const found = (await staticProblems(project.root)).filter(({ rule }) => rule !== 'undecided');
  assert.equal(
    found.map(({ file, line, message }) => `${file}:${line} ${message}`),
    [],
  );
  const failed = await errorOf(migrate(pair, { root: project.root, phases: 1 }));
  assert.instance(failed, PreflightFailed);
  const refused = (failed as PreflightFailed).problems.filter(({ rule }) => rule !== 'not-null');
  assert.equal(
    refused.map(({ file, line, message }) => `${file}:${line} ${message}`),
    [],
  );
  project.remove();
  await pair.drop();
});

test.run();
