// deadline 1500
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../runner.ts';
import { expectationOf, noTraces } from './invariants.ts';
import { type Network, noNetwork, openNetwork } from './netns.ts';
import type { Proxy } from './proxy.ts';
import {
  block,
  blocked,
  blockReading,
  endsWithin,
  onOwnServers,
  type OwnServer,
  RUN_AGAIN,
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

test('runner and target, frozen in the middle of a phase: exit 4 by its own watch', ({ stage }) =>
  stage.inWorld(async (world) => {
    const proxy = await freezeTarget(world);
    await proxy.stop();
    await world.recovers();
  }));

test('frozen behind something that keeps the connections: no transaction stays', ({ stage }) =>
  stage.inWorld(async (world) => {
    const proxy = await freezeTarget(world);
    // what is idle without a transaction holds nothing
    await waitFor(
      'the target has ended the transactions of the runner',
      () => world.target<{ ended: boolean }[]>`
        select true as ended where not exists (
          select from pg_stat_activity
          where datname = current_database() and application_name like '%runner%'
            and state <> 'idle')`,
      75,
    );
    await endsWithin(60, world.start(), 0);
    await proxy.stop();
    await world.recovers();
  }));

test('a target that accepts connections and says nothing: exit 5 by itself', ({ stage }) =>
  stage.inWorld(async (world) => {
    const proxy = await world.proxy('target');
    proxy.freeze();
    const runner = world.start({ targetUrl: through(world.urls.targetUrl, proxy.port) });
    await endsWithin(30, runner, 5, /CONNECT_TIMEOUT/);
    await world.recovers();
  }));

test('a source that accepts connections and says nothing: exit 5 after a minute', ({ stage }) =>
  stage.inWorld(async (world) => {
    const proxy = await world.proxy('source');
    proxy.freeze();
    const runner = world.start({ sourceAt: proxy });
    await endsWithin(80, runner, 5, /no answer.*statement timeout.*no row was changed/);
    await proxy.stop();
    await world.recovers();
  }));

test('the same, and SIGINT does not wait for that', ({ stage }) =>
  stage.inWorld(async (world) => {
    const proxy = await world.proxy('source');
    proxy.freeze();
    const runner = world.start({ sourceAt: proxy });
    await waitFor(
      'the link has been opening for some time',
      () => world.target<{ pid: number }[]>`
        select pid from pg_stat_activity
        where datname = current_database() and application_name = 'runner'
          and state = 'active' and clock_timestamp() - query_start > interval '7 s'`,
    );
    runner.child.kill('SIGINT');
    await endsWithin(10, runner, 130, /rolled back/);
    await proxy.stop();
    await world.recovers();
  }));

for (const [what, stop] of [
  ['sums are taken', blockSums],
  ['rows are read', blockReading],
] as const) {
  test(`target and source, frozen but acknowledged, while ${what}: SIGINT ends it`, ({ stage }) =>
    stage.inWorld(async (world) => {
      const proxy = await world.proxy('source');
      const runner = world.start({ sourceAt: proxy });
      const { lock } = await stop(world);
      proxy.freeze();
      await lock.release();
      await sleep(3000);
      runner.child.kill('SIGINT');
      await endsWithin(60, runner, 130, /rolled back/);
      await proxy.stop();
      await world.recovers();
    }));
}

test('a target that is not there: exit 5 at once, says so', ({ stage }) =>
  stage.inWorld(async (world) => {
    const runner = world.start({ targetUrl: through(world.urls.targetUrl, 1) });
    await endsWithin(20, runner, 5, /ECONNREFUSED/);
    await world.recovers();
  }));

test('a source that is not there: exit 5 within seconds, says so', ({ stage }) =>
  stage.inWorld(async (world) => {
    await endsWithin(30, world.start({ sourceAt: { port: 1 } }), 5, /Connection refused/);
    await noTraces(world.target, world.source, 'no source');
    await world.recovers();
  }));

test('10 ms to the target, 40 ms to the source: slower, and the same rows', ({ stage }) =>
  stage.inWorld(async (world) => {
    const [near, far] = [await world.proxy('target'), await world.proxy('source')];
    near.delay(5);
    far.delay(20);
    const targetUrl = through(world.urls.targetUrl, near.port);
    const seconds = await endsWithin(120, world.start({ targetUrl, sourceAt: far }), 0);
    assert.ok(seconds > near.counts().requests * 0.01, `only ${seconds} s`);
    await world.recovers();
  }));

test('a source that takes 25 s for an answer: the run waits for it', ({ stage }) =>
  stage.inWorld(async (world) => {
    const proxy = await world.proxy('source');
    let slow = false;
    proxy.when(/fetch \d+ from c\d+/i, 'request', () => {
      slow = true;
      proxy.freeze();
      setTimeout(() => proxy.pass(), 25_000);
    });
    const seconds = await endsWithin(90, world.start({ sourceAt: proxy }), 0);
    assert.ok(slow && seconds > 25, `only ${seconds} s`);
    await world.recovers();
  }));

const reason = noNetwork();
for (const [name, body] of [
  ['packets between target and source are dropped: exit 1 by tcp_user_timeout', sourceOutOfReach],
  ['packets between runner and target are dropped: exit 4, and no session stays', targetOutOfReach],
  ['packet loss between target and source: the same rows', packetLoss],
] as const) {
  if (reason !== undefined) test.skip(`${name}: ${reason}`);
  else test(name, ({ stage }) => stage.inWorld((world) => overCable(world, body)));
}

test.run();

interface Cable {
  network: Network;
  /** Servers at this side of the cable. */
  source: OwnServer;
  target: OwnServer;
}

async function overCable(
  world: World,
  body: (world: World, cable: Cable) => Promise<void>,
): Promise<void> {
  const network = openNetwork();
  try {
    await onOwnServers((own) => body(world, { network, ...own }));
  } finally {
    network.close();
  }
}

async function sourceOutOfReach(world: World, cable: Cable): Promise<void> {
  const { own, sourceAt } = await sourceOverCable(world, cable);
  const { adminUrl, sql } = cable.source;
  const runner = world.start({ ...own, sourceAt });
  const { lock } = await blockReading({ ...world, source: sql, sourceAdminUrl: adminUrl });
  cable.network.down();
  await lock.release();
  await endsWithin(60, runner, 1, /could not receive data from server: Connection timed out/);
  await noTraces(world.target, sql, 'packets dropped', 60);
  await world.recovers(own);
}

async function targetOutOfReach(world: World, { network, target }: Cable): Promise<void> {
  await target.listen(network.here);
  const { host, port } = await network.detour(target.port);
  const far = new URL(through(target.url, port));
  far.hostname = host;
  far.searchParams.set('sslmode', 'disable');
  const gate = await block(target.adminUrl, 'public.doctor_offices');
  const runner = world.start({ targetUrl: far.href });
  await blocked(target.sql, 'runner');
  network.down();
  await gate.release();
  await endsWithin(40, runner, 4, RUN_AGAIN);
  await noTraces(target.sql, world.source, 'packets dropped', 60);
  await world.recovers({ targetUrl: target.url, target: target.sql });
}

async function packetLoss(world: World, cable: Cable): Promise<void> {
  const { own, sourceAt } = await sourceOverCable(world, cable);
  cable.network.throttle(60_000);
  await endsWithin(120, world.start({ ...own, sourceAt }), 0);
  assert.ok(cable.network.dropped() > 0, 'no packet was dropped');
  await world.recovers(own);
}

/** A source at this side of the cable; the target comes through the other, where it is told to. */
async function sourceOverCable(world: World, { network, source, target }: Cable) {
  const own = { sourceUrl: source.url, source: source.sql };
  await endsWithin(60, world.start({ ...own, targetUrl: target.url }), 0);
  const expected = await expectationOf(target.sql);
  await source.listen(network.here);
  return { own: { ...own, expected }, sourceAt: await network.detour(source.port) };
}

/** A run whose connections to the target freeze in the middle of a phase, and that ends by itself. */
async function freezeTarget(world: World): Promise<Proxy> {
  const proxy = await world.proxy('target');
  const gate = await block(world.targetAdminUrl, 'public.doctor_offices');
  const runner = world.start({ targetUrl: through(world.urls.targetUrl, proxy.port) });
  await blocked(world.target, 'runner');
  proxy.freeze();
  await gate.release();
  await endsWithin(40, runner, 4, RUN_AGAIN);
  return proxy;
}

/** As blockReading, but earlier: the sums over the source's tables wait. */
async function blockSums(world: World): Promise<{ lock: { release(): Promise<void> } }> {
  const lock = await block(world.sourceAdminUrl, 'public.dispatch_action');
  await blocked(world.source, 'reader');
  return { lock };
}
