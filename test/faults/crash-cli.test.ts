// deadline 1800
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import { note, open, startRunner } from '../runner.ts';
import { type Expected, expectationOf, noTraces } from './invariants.ts';
import { startProxy } from './proxy.ts';
import { endsWith, recovers, through } from './world.ts';

/* All phases, the schema changes included, killed here and there: what a user would start. */

interface Context {
  expected: Expected;
  requests: number;
}

/** A dozen cases; a run has about two hundred messages of each kind. */
const STEP = 31;

const test = suite<Context>('killed command');

test.before(async (context) => {
  const pair = await testPair({ name: 'whole', source: 'sample' });
  const { proxy, start } = await runnerOn(pair);
  endsWith(await start().ended, 0);
  context.requests = proxy.counts().requests;
  const target = open(pair.targetAdminUrl);
  context.expected = await expectationOf(target);
  await target.end();
  await proxy.stop();
  await pair.drop();
});

test(`runner up, killed before every ${STEP}st request and reply`, async (context) => {
  let cases = 0;
  for (const kind of ['request', 'reply'] as const) {
    for (let n = kind === 'request' ? 9 : 24; n < context.requests; n += STEP) {
      const at = `killed before ${kind} ${n}`;
      const pair = await testPair({ name: 'killed', source: 'sample' });
      const [source, target] = [open(pair.sourceAdminUrl), open(pair.targetAdminUrl)];
      const { proxy, start } = await runnerOn(pair);
      const { child, ended } = start();
      proxy.cutBefore(kind, n, () => child.kill('SIGKILL'));
      const end = await ended;
      assert.ok(proxy.counts().cut, `${at}: exit ${end.code} before that`);
      await noTraces(target, source, at);
      await recovers({
        ...{ source, target, expected: context.expected },
        start: () => startRunner(pair, ['up', '--json']),
      });
      await proxy.stop();
      await source.end();
      await target.end();
      await pair.drop();
      cases += 1;
    }
  }
  assert.ok(cases >= 10, `only ${cases} cases`);
  note(`${cases} cases of a run with ${context.requests} requests`);
});

test.run();

async function runnerOn(pair: TestPair) {
  const proxy = await startProxy({ port: Number(new URL(pair.targetUrl).port) });
  const urls = { ...pair, targetUrl: through(pair.targetUrl, proxy.port) };
  return { proxy, start: () => startRunner(urls, ['up', '--json']) };
}
