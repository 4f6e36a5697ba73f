// deadline 120
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { editionOf } from '../../runner/engine/ledger.ts';
import { through } from '../faults/world.ts';
import { startProxy } from '../faults/proxy.ts';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import { lastLine, open, runner, succeed } from '../runner.ts';

/* `status` from far away, and of a ledger that another release wrote. */

const OF = { root: NEUTRAL };

const test = suite<{ pair: TestPair; target: Sql }>('status');

test.before(async (context) => {
  context.pair = await testPair({ name: 'status', source: 'neutral', target: 'neutral' });
  context.target = open(context.pair.targetAdminUrl);
  await succeed(context.pair, ['up', '1'], OF);
});

test.after(async ({ pair, target }) => {
  await target.end();
  await pair.drop();
});

test('four round trips, whatever the number of entities', async ({ pair }) => {
  const proxy = await startProxy({ port: Number(new URL(pair.targetUrl).port) });
  const far = { ...pair, targetUrl: through(pair.targetUrl, proxy.port) };
  const { stdout } = await succeed(far, ['status', '--json'], OF);
  const { requests } = proxy.counts();
  await proxy.stop();
  assert.match(stdout, '1 of 4 phases are complete');
  // the start of a session, and two messages of its password
  assert.ok(requests - 3 <= 4, `${requests} requests`);
});

test('a ledger with the functions of another release: read with ours, which do not stay', async ({
  pair,
  target,
}) => {
  const ask = async () => lastLine<object>(await succeed(pair, ['status', '--json'], OF));
  const before = await ask();
  const [installed] = await target<{ hash: string }[]>`select hash from migration.installed`;
  await target`update migration.installed set hash = 'other'`;
  await target`drop function migration.summary`;
  await target`drop function migration.reject_counts`;
  await target`
    create function migration.reject_counts(other text) returns integer language sql as 'select 1'`;
  assert.equal(await ask(), before);
  assert.match((await succeed(pair, ['rejects', 'films'], OF)).stdout, 'no open rejects');
  const left = await target`
    select pronargdefaults, prorettype::regtype::text as type from pg_proc
    where pronamespace = 'migration'::regnamespace and proname in ('summary', 'reject_counts')`;
  assert.equal([...left], [{ pronargdefaults: 0, type: 'integer' }]);
  await succeed(pair, ['up', '1'], OF);
  const [renewed] = await target<{ hash: string }[]>`select hash from migration.installed`;
  assert.is(renewed?.hash, installed?.hash);
});

const OURS = editionOf(readCatalog(NEUTRAL));
const NEWER = OURS + 1;

for (const [edition, message] of [
  [1, new RegExp(`of an older release \\(edition 1, this is ${OURS}\\)[^]*runner uninstall`)],
  [NEWER, `of a newer release (edition ${NEWER}, this is ${OURS})`],
] as const) {
  test(`a ledger of edition ${edition}: refused, with the way out`, async ({ pair, target }) => {
    await target`update migration.installed set edition = ${edition}`;
    const { code, stdout, stderr } = await runner(pair, ['status'], OF);
    assert.is(code, 1);
    assert.is(stdout, '');
    assert.match(stderr, message);
    await target`update migration.installed set edition = ${OURS}`;
  });
}

test.run();
