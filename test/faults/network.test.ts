// deadline 1500
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { removePair, startPair } from '../../runner/embedded.ts';
import { labelOf, startServer } from '../../runner/embedded-server.ts';
import { type Ended, open, ROOT, type Started, waitFor } from '../runner.ts';
import { noTraces } from './invariants.ts';
import { noNetwork, openNetwork, startRelay } from './netns.ts';
import { startProxy } from './proxy.ts';
import {
  block,
  blocked,
  blockReading,
  endsWith,
  recovers,
  type Stage,
  stage,
  through,
  type World,
} from './world.ts';

/* Networks that freeze, are not there, are slow or lose packets. */

const test = suite<{ stage: Stage }>('network faults');

test.before(async (context) => {
  context.stage = await stage();
});

test.after(async (context) => {
  await context.stage.close();
});

test('runner and target, frozen in the middle of a phase: exit 4 by its own watch', async ({
  stage,
}) => {
  const world = await stage.world();
  const { proxy, urls } = await targetThroughProxy(world);
  const gate = await block(world.targetAdminUrl, 'public.doctor_offices');
  const runner = world.start(urls);
  await blocked(world.target, 'runner');
  proxy.freeze();
  await gate.release();
  const { end, seconds } = await timed(runner);
  console.log(`frozen target: exit ${end.code} after ${seconds} s`);
  endsWith(end, 4, /run the same command again/);
  assert.ok(seconds < 40, `${seconds} s`);
  await proxy.stop();
  await world.recovers();
  await world.close();
});

test('frozen behind something that keeps the connections: no transaction stays', async ({
  stage,
}) => {
  const world = await stage.world();
  const { proxy, urls } = await targetThroughProxy(world);
  const gate = await block(world.targetAdminUrl, 'public.doctor_offices');
  const runner = world.start(urls);
  await blocked(world.target, 'runner');
  proxy.freeze();
  await gate.release();
  endsWith(await runner.ended, 4);
  const left = Date.now();
  // what is idle without a transaction holds nothing
  await waitFor(
    'the target has ended the transactions of the runner',
    () => world.target<{ n: number }[]>`
      select 1 as n where not exists (
        select from pg_stat_activity
        where datname = current_database() and application_name like '%runner%'
          and state <> 'idle')`,
    75,
  );
  console.log(`transactions gone ${(Date.now() - left) / 1000} s after the runner`);
  endsWith(await world.start().ended, 0);
  await proxy.stop();
  await world.recovers();
  await world.close();
});

test('a target that accepts connections and says nothing: ends by itself', async ({ stage }) => {
  const world = await stage.world();
  const { proxy, urls } = await targetThroughProxy(world);
  proxy.freeze();
  const { end, seconds } = await timed(world.start(urls));
  console.log(`silent target: exit ${end.code} after ${seconds} s: ${end.stderr.trim()}`);
  endsWith(end, 4, /CONNECT_TIMEOUT/);
  assert.ok(seconds < 30, `${seconds} s`);
  await proxy.stop();
  await world.recovers();
  await world.close();
});

test('target and source, frozen but acknowledged: SIGINT ends it', async ({ stage }) => {
  const world = await stage.world();
  const { proxy, env } = await sourceThroughProxy(world);
  const runner = world.start(world.urls, env);
  const { lock } = await blockReading(world);
  proxy.freeze();
  await lock.release();
  await sleep(3000);
  runner.child.kill('SIGINT');
  const { end, seconds } = await timed(runner);
  console.log(`frozen source: exit ${end.code} ${seconds} s after SIGINT`);
  endsWith(end, 130);
  assert.ok(seconds < 75, `${seconds} s`);
  await proxy.stop();
  await world.recovers();
  await world.close();
});

test('a target that is not there: ends at once, says so', async ({ stage }) => {
  const world = await stage.world();
  const { end, seconds } = await timed(
    world.start({ ...world.urls, targetUrl: through(world.urls.targetUrl, 1) }),
  );
  console.log(`no target: exit ${end.code} after ${seconds} s: ${end.stderr.trim()}`);
  endsWith(end, 4, /ECONNREFUSED/);
  assert.ok(seconds < 20, `${seconds} s`);
  await world.close();
});

test('a source that is not there: exit 1 within seconds, nothing written', async ({ stage }) => {
  const world = await stage.world();
  const { end, seconds } = await timed(world.start(world.urls, { SOURCE_PORT_FROM_TARGET: '1' }));
  console.log(`no source: exit ${end.code} after ${seconds} s: ${end.stderr.trim()}`);
  endsWith(end, 1, /could not connect|cannot be reached|Connection refused/i);
  assert.ok(seconds < 30, `${seconds} s`);
  await noTraces(world.target, world.source, 'no source');
  await world.recovers();
  await world.close();
});

test('10 ms to the target, 40 ms to the source: slower, and the same rows', async ({ stage }) => {
  const world = await stage.world();
  const { proxy, urls } = await targetThroughProxy(world);
  const far = await sourceThroughProxy(world);
  proxy.delay(5);
  far.proxy.delay(20);
  const { end, seconds } = await timed(world.start(urls, far.env));
  console.log(`slow network: ${seconds} s, ${proxy.counts().requests} requests`);
  endsWith(end, 0);
  await proxy.stop();
  await far.proxy.stop();
  await world.recovers();
  await world.close();
});

const reason = noNetwork();
if (reason !== undefined) {
  test.skip(`packets between target and source are dropped: ${reason}`);
  test.skip(`packets between runner and target are dropped: ${reason}`);
  test.skip(`packet loss: ${reason}`);
} else {
  test('packets between target and source are dropped: exit 1 by tcp_user_timeout', async ({
    stage,
  }) => {
    const world = await stage.world();
    const network = openNetwork(1);
    try {
      const relay = await startRelay(network.here, Number(new URL(world.urls.sourceUrl).port));
      const way = await network.detour(relay.port);
      const runner = world.start(world.urls, wayTo(way));
      const { lock } = await blockReading(world);
      network.down();
      await lock.release();
      const { end, seconds } = await timed(runner);
      console.log(`source out of reach: exit ${end.code} after ${seconds} s: ${lastOf(end)}`);
      relay.stop();
      endsWith(end, 1);
      assert.ok(seconds < 60, `${seconds} s`);
    } finally {
      network.close();
    }
    await world.recovers();
    await world.close();
  });

  test('packets between runner and target are dropped: exit 4, and no session stays', async ({
    stage,
  }) => {
    const directory = join(ROOT, '.embedded', `faults-net-${process.pid}`);
    const world = await stage.world();
    const network = openNetwork(2);
    // a server that listens at this side of the cable
    const hba = join(tmpdir(), `hba-${process.pid}.conf`);
    writeFileSync(hba, 'host all all 0.0.0.0/0 scram-sha-256\n', { mode: 0o644 });
    const pair = await startPair({ directory, scale: '0.001', seed: '1' });
    await pair.target.stop();
    const { directory: place, major, port } = pair.target;
    const server = await startServer({
      ...{ major, port, directory: place, label: labelOf(place) ?? '' },
      ...{ admin: 'supabase_admin', roles: ['postgres'] },
      settings: { listen_addresses: `127.0.0.1,${network.here}`, hba_file: hba },
    });
    const target = open(pair.targetAdminUrl);
    const urls = { sourceUrl: world.urls.sourceUrl, targetUrl: pair.targetUrl };
    try {
      const way = await network.detour(port);
      const far = new URL(pair.targetUrl);
      Object.assign(far, { hostname: way.host, port: String(way.port) });
      far.searchParams.set('sslmode', 'disable');
      const gate = await block(pair.targetAdminUrl, 'public.doctor_offices');
      const runner = world.start({ ...urls, targetUrl: far.href });
      await blocked(target, 'runner');
      network.down();
      await gate.release();
      const { end, seconds } = await timed(runner);
      console.log(`target out of reach: exit ${end.code} after ${seconds} s`);
      endsWith(end, 4, /run the same command again/);
      assert.ok(seconds < 40, `${seconds} s`);
      const left = Date.now();
      await waitFor(
        'the target has ended the sessions of the runner',
        () => target<{ n: number }[]>`
          select 1 as n where not exists (
            select from pg_stat_activity
            where datname = current_database() and application_name like '%runner%')`,
        60,
      );
      console.log(`sessions gone ${(Date.now() - left) / 1000} s later`);
      await recovers({
        ...{ source: world.source, target, start: () => world.start(urls) },
        ...{ expected: stage.expected, ranges: false },
      });
    } finally {
      network.close();
      await target.end();
      await server.stop();
      await pair.stop();
      removePair(directory);
    }
    await world.close();
  });

  test('packet loss between target and source: the same rows', async ({ stage }) => {
    const world = await stage.world();
    const network = openNetwork(3);
    try {
      const relay = await startRelay(network.here, Number(new URL(world.urls.sourceUrl).port));
      const way = await network.detour(relay.port);
      network.throttle(60_000);
      const { end, seconds } = await timed(world.start(world.urls, wayTo(way)));
      console.log(`packet loss: exit ${end.code} after ${seconds} s, ${network.dropped()} dropped`);
      relay.stop();
      endsWith(end, 0);
      assert.ok(network.dropped() > 0, 'no packet was dropped');
    } finally {
      network.close();
    }
    await world.recovers();
    await world.close();
  });
}

test.run();

async function targetThroughProxy({ urls }: World) {
  const proxy = await startProxy({ port: Number(new URL(urls.targetUrl).port) });
  return { proxy, urls: { ...urls, targetUrl: through(urls.targetUrl, proxy.port) } };
}

/** The runner knows the source by its URL, the target reaches it through the proxy. */
async function sourceThroughProxy({ urls }: World) {
  const proxy = await startProxy({ port: Number(new URL(urls.sourceUrl).port) });
  return { proxy, env: { SOURCE_PORT_FROM_TARGET: String(proxy.port) } };
}

function wayTo({ host, port }: { host: string; port: number }): Record<string, string> {
  return { SOURCE_HOST_FROM_TARGET: host, SOURCE_PORT_FROM_TARGET: String(port) };
}

async function timed({ ended }: Started): Promise<{ end: Ended; seconds: number }> {
  const began = Date.now();
  const end = await ended;
  return { end, seconds: (Date.now() - began) / 1000 };
}

function lastOf({ stderr }: Ended): string {
  return stderr.trim().split('\n').slice(-3).join(' / ');
}
