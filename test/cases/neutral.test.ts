/* The cases of the second project: the same harness, other tables. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { caseFolders, openCases, runCase } from '../../checks/cases/index.ts';
import { grantReader, loadSource } from '../../runner/embedded/pair.ts';
import { NEUTRAL, testPair } from '../pair.ts';

for (const folder of caseFolders(NEUTRAL)) {
  test(folder, async () => {
    const pair = await testPair({
      name: 'neutral_cases',
      source: 'empty',
      target: 'neutral',
      sourceMajor: 17,
    });
    await loadSource(pair.sourceAdminUrl, { scale: null, seed: '1' }, NEUTRAL);
    await grantReader(pair.sourceAdminUrl);
    assert.equal(await runCase(await openCases(NEUTRAL, pair), folder), []);
    await pair.drop();
  });
}

test.run();
