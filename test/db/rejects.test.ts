/* What `rejects` says of rows that are not stored. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import { lastLine, succeed } from '../runner.ts';

const OF = { root: NEUTRAL };

const test = suite<{ pair: TestPair }>('rejects');

test.before(async (context) => {
  context.pair = await testPair({ name: 'rejects', source: 'neutral', target: 'neutral' });
  await succeed(context.pair, ['up'], OF);
});

test.after(({ pair }) => pair.drop());

test('they say what they mean and which id leads nowhere, also as CSV', async ({ pair }) => {
  const { stdout } = await succeed(pair, ['rejects', 'rentals'], OF);
  assert.match(stdout, 'its customer is not stored');
  const csv = (await succeed(pair, ['rejects', 'rentals', '--csv'], OF)).stdout.split('\n');
  assert.match(csv[0] ?? '', /^entity,key,reason,sqlstate,constraint,column,leads nowhere,meaning/);
  const line = csv.find((each) => each.startsWith('rentals,1250,'));
  assert.is(line?.split(',its ')[0], 'rentals,1250,orphan_customer,,,,customer_id 9125');
  const { rejects } = lastLine<{
    rejects: { reason: string; meaning: string; leads_nowhere: string }[];
  }>(await succeed(pair, ['rejects', 'rentals', '--rows', '--json'], OF));
  const orphan = rejects.find((each) => each.leads_nowhere === 'customer_id 9125');
  assert.is(orphan?.reason, 'orphan_customer');
  assert.is(orphan?.meaning, 'its customer is not stored');
});

test.run();
