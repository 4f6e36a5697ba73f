// deadline 240
/* The way from one release's ledger to another's: uninstall leaves the rows, up recognises them. */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import { lastLine, open, runner, sameDump, succeed, touches } from '../runner.ts';

interface Context {
  pair: TestPair;
  target: Sql;
}

const OF = { root: NEUTRAL };
const SCHEMAS = ['public', 'billing'];

const test = suite<Context>('edition');

test.before(async (context) => {
  context.pair = await testPair({ name: 'edition', source: 'neutral', target: 'neutral' });
  context.target = open(context.pair.targetAdminUrl);
  await succeed(context.pair, ['up'], OF);
});

test.after(async ({ pair, target }) => {
  await target.end();
  await pair.drop();
});

test('the ledger of the first release is refused by every command, with the way out', async ({
  pair,
  target,
}) => {
  const before = await touches(target, [...SCHEMAS, 'ids', 'migration']);
  // the first release did not say which it was
  await target`alter table migration.installed rename column edition to was`;
  for (const command of [
    ['up'],
    ['status'],
    ['down', '3-rentals', '--yes'],
    ['verify'],
    ['plan'],
  ]) {
    const { code, stderr } = await runner(pair, command, OF);
    assert.is(code, 1, command[0]);
    assert.match(stderr, /older release.*nothing was changed/s, command[0]);
    assert.match(stderr, /uninstall/, command[0]);
  }
  await target`alter table migration.installed rename column was to edition`;
  sameDump(await touches(target, [...SCHEMAS, 'ids', 'migration']), before);
});

test('after uninstall every row is recognised by its id, and none is written', async ({
  pair,
  target,
}) => {
  const before = await touches(target, SCHEMAS);
  const audit = join(tmpdir(), `edition-${process.pid}.jsonl`);
  await succeed(pair, ['uninstall', '--yes', '--audit', audit], OF);
  rmSync(audit);
  const { entities } = lastLine(await succeed(pair, ['up', '--json'], OF));
  for (const { entity, inserted, updated } of entities) {
    assert.equal([inserted, updated], [0, 0], entity);
  }
  sameDump(await touches(target, SCHEMAS), before);
  await succeed(pair, ['verify'], OF);
});

test.run();
