// deadline 240
/* The way from one release's ledger to another's: uninstall leaves the rows, up recognises them. */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { migratedPair, type TestPair } from '../pair.ts';
import { open, runner, sameDump, succeed, touches, up } from '../runner.ts';

interface Context {
  pair: TestPair;
  target: Sql;
}

const test = suite<Context>('edition');

test.before(async (context) => {
  context.pair = await migratedPair();
  context.target = open(context.pair.targetAdminUrl);
});

test.after(async ({ pair, target }) => {
  await target.end();
  await pair.drop();
});

test('the ledger of the first release is refused by every command, with the way out', async ({
  pair,
  target,
}) => {
  const before = await touches(target, ['public', 'ids', 'migration']);
  // the first release did not say which it was
  await target`alter table migration.installed rename column edition to was`;
  for (const command of [['up'], ['status'], ['down', '7-state', '--yes'], ['verify'], ['plan']]) {
    const { code, stderr } = await runner(pair, command);
    assert.is(code, 1, command[0]);
    assert.match(stderr, /older release.*nothing was changed/s, command[0]);
    assert.match(stderr, /uninstall/, command[0]);
  }
  await target`alter table migration.installed rename column was to edition`;
  sameDump(await touches(target, ['public', 'ids', 'migration']), before);
});

test('after uninstall every row is recognised by its id, and none is written', async ({
  pair,
  target,
}) => {
  const before = await touches(target, ['public']);
  const audit = join(tmpdir(), `edition-${process.pid}.jsonl`);
  await succeed(pair, ['uninstall', '--yes', '--audit', audit]);
  rmSync(audit);
  const { entities } = await up(pair);
  for (const { entity, inserted, updated } of entities) {
    assert.equal([inserted, updated], [0, 0], entity);
  }
  sameDump(await touches(target, ['public']), before);
  await succeed(pair, ['verify']);
});

test.run();
