// deadline 300
/* The runner is on a laptop, the target in a data centre: how often it asks, and what distance costs. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Proxy, startProxy } from '../faults/proxy.ts';
import { through } from '../faults/world.ts';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import { note, open, succeed } from '../runner.ts';

interface Context {
  pair: TestPair;
  proxy: Proxy;
}

/** Milliseconds each way. */
const LATENCY = 25;
const OF = { root: NEUTRAL };

const test = suite<Context>('round trips');

test.before(async (context) => {
  context.pair = await testPair({ name: 'trips', source: 'neutral', target: 'neutral' });
  // what the target refuses is read again by every run
  const source = open(context.pair.sourceAdminUrl);
  await source`update rental set returned_at = null where returned_at < rented_at`;
  await source.end();
  context.proxy = await startProxy({ port: Number(new URL(context.pair.targetUrl).port) });
});

test.after(async ({ pair, proxy }) => {
  await proxy.stop();
  await pair.drop();
});

test('a first run, one with nothing to do, one with changes, and status', async ({
  pair,
  proxy,
}) => {
  const first = await counted(proxy, pair, ['up', '--json']);
  const nothing = await counted(proxy, pair, ['up', '--json']);
  const source = open(pair.sourceAdminUrl);
  await source`update rental set returned_at = rented_at where rental_id % 100 = 70`;
  await source`update billing.payment set amount = amount + 1 where payment_id % 100 = 7`;
  await source.end();
  const changed = await counted(proxy, pair, ['up', '--json']);
  const status = await counted(proxy, pair, ['status', '--json']);
  note(`round trips: ${first} first, ${nothing} nothing, ${changed} changed, ${status} status`);
  assert.ok(first <= 160, `${first} round trips for the first run of the sample`);
  assert.ok(changed <= 55, `${changed} round trips for a run with changes of two tables`);
  assert.ok(nothing <= 34, `${nothing} round trips for a run with nothing to do`);
});

test('with 25 ms each way a run with nothing to do takes at most 3 s longer', async ({
  pair,
  proxy,
}) => {
  // the way to the target is known: that no pooler is in it has been found out
  await succeed(behind(pair, proxy), ['up'], OF);
  const near = await seconds(() => succeed(behind(pair, proxy), ['up'], OF));
  proxy.delay(LATENCY);
  const far = await seconds(() => succeed(behind(pair, proxy), ['up'], OF));
  proxy.pass();
  note(`nothing to do: ${near.toFixed(1)} s beside the target, ${far.toFixed(1)} s at 50 ms`);
  assert.ok(far - near <= 3, `${far.toFixed(1)} s instead of ${near.toFixed(1)} s`);
});

test.run();

/** Requests that a command sends to the target, those that open connections included. */
async function counted(proxy: Proxy, pair: TestPair, args: string[]): Promise<number> {
  proxy.pass();
  await succeed(behind(pair, proxy), args, OF);
  return proxy.counts().requests;
}

function behind({ sourceUrl, targetUrl }: TestPair, { port }: Proxy) {
  return { sourceUrl, targetUrl: through(targetUrl, port) };
}

async function seconds(body: () => Promise<unknown>): Promise<number> {
  const began = Date.now();
  await body();
  return (Date.now() - began) / 1000;
}
