/* No plan that reads the link joins by nested loops or by merging: of all that the runner does. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadSource } from '../../runner/embedded/pair.ts';
import { testPair, type TestPair } from '../pair.ts';
import { logPlans, type PlanLog, remotePlans, unsafeJoin } from '../plans.ts';
import { note, open, runner, succeed } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  log: PlanLog;
}

/** Tables of which rows are changed for an increment. */
const CHANGED = ['dispatch_task', 'dispatch_file', 'dispatch_notification', 'dispatch_plan'];

/** The same at any size of the sample. */
export function testPlans(scale: string): void {
  const test = suite<Context>(`plans at scale ${scale}`);

  test.before(async (context) => {
    context.pair = await testPair({
      name: 'plans',
      source: 'empty',
      target: 'schema',
      sourceMajor: 17,
    });
    await loadSource(context.pair.sourceAdminUrl, { scale, seed: '1' });
    context.source = open(context.pair.sourceAdminUrl);
    context.target = open(context.pair.targetAdminUrl);
    context.log = await logPlans(context.target);
  });

  test.after(async ({ pair, source, target }) => {
    await source.end();
    await target.end();
    await pair.drop();
  });

  test('a first run reads every entity, and joins nothing row by row', async ({
    pair,
    target,
    log,
  }) => {
    await succeed(pair, ['up', '--json']);
    const read = assertSafe(log, 'first run');
    const filled = await target<{ entity: string }[]>`
      select e.entity from migration.entities as e
      where e.source is not null and e.position is not null and exists (
        select from migration.ranges as r where r.entity = e.entity and r.source_rows > 0)`;
    const unseen = filled.filter(
      ({ entity }) => !read.some((text) => text.includes(`transform."${entity}"`)),
    );
    assert.ok(filled.length > 50);
    assert.equal([...unseen], [], 'views of which no plan was logged');
  });

  test('an increment does not either', async ({ pair, source, log }) => {
    for (const table of CHANGED)
      await source.unsafe(`update ${table} set id = id where id % 100 = 7`);
    await succeed(pair, ['up', '--json']);
    assertSafe(log, 'increment');
  });

  test('nor do verify and check', async ({ pair, log }) => {
    for (const command of ['verify', 'check']) {
      const { code, stderr } = await runner(pair, [command, '--json']);
      // 1: what they find in the sample
      assert.ok(code === 0 || code === 1, stderr);
      assertSafe(log, command);
    }
  });

  test('a function that has lost its settings is noticed', async ({
    pair,
    source,
    target,
    log,
  }) => {
    const stage = 'function merge.tasks_stage(bigint, bigint, bigint[])';
    await target.unsafe(`alter ${stage} set enable_hashjoin = off`);
    for (const [setting, found] of [
      ['enable_nestloop', /nested loop/],
      ['enable_mergejoin', /merge join/],
    ] as const) {
      await target.unsafe(`alter ${stage} set ${setting} = on`);
      await source`update dispatch_task set id = id where id % 100 = 7`;
      await succeed(pair, ['up', '--json']);
      assert.match(unsafeOf(log).join('\n'), found);
      await target.unsafe(`alter ${stage} set ${setting} = off`);
    }
  });

  test.run();
}

/** Texts of the statements that read the link. */
function assertSafe(log: PlanLog, what: string): string[] {
  const planned = remotePlans(log);
  note(`${what}: ${planned.length} plans with a foreign scan`);
  assert.ok(planned.length > 0, `${what}: no plan was logged`);
  const found = planned.flatMap(({ text, plan }) => lineOf(text, unsafeJoin(plan)));
  assert.equal([...new Set(found)].slice(0, 10), [], what);
  return planned.map(({ text }) => text);
}

function unsafeOf(log: PlanLog): string[] {
  return remotePlans(log).flatMap(({ text, plan }) => lineOf(text, unsafeJoin(plan)));
}

function lineOf(text: string, found: string | undefined): string[] {
  return found === undefined ? [] : [`${found}: ${text.replaceAll(/\s+/g, ' ').slice(0, 300)}`];
}
