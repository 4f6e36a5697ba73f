/* Ways that one at a time can take: who waits, and what becomes of a way that is closed. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { sharing } from '../../runner/engine/two.ts';

const isClosed = (error: unknown) => error instanceof Error && error.message === 'closed';

/** Something that ends when it is told to. */
function gate(): { open: () => void; opened: Promise<void> } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

test('two ways are taken at once, the third waits; the first is taken first', async () => {
  const share = sharing(['one', 'two'], isClosed);
  const log: string[] = [];
  const [a, b] = [gate(), gate()];
  const take = (name: string, until: Promise<void>) =>
    share(async (way) => {
      log.push(`${name} ${way}`);
      await until;
      return name;
    });
  const all = [take('a', a.opened), take('b', b.opened), take('c', Promise.resolve())];
  await Promise.resolve();
  assert.equal(log, ['a one', 'b two']);
  b.open();
  await all[2];
  assert.equal(log, ['a one', 'b two', 'c two']);
  a.open();
  assert.equal(await Promise.all(all), ['a', 'b', 'c']);
  await take('d', Promise.resolve());
  assert.is(log.at(-1), 'd one');
});

test('what fails on a closed way is done on the other, and nobody takes the closed one again', async () => {
  const share = sharing(['one', 'two'], isClosed);
  const log: string[] = [];
  const held = gate();
  const first = share(() => held.opened);
  const take = (name: string) =>
    share((way) => {
      log.push(`${name} ${way}`);
      return way === 'two' ? Promise.reject(new Error('closed')) : Promise.resolve(name);
    });
  const waiting = [take('b'), take('c')];
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(log, ['b two']);
  held.open();
  await first;
  assert.equal(await Promise.all(waiting), ['b', 'c']);
  assert.equal(log, ['b two', 'c one', 'b one']);
});

test('another failure is thrown, and the way is free again; the first way is never closed', async () => {
  const share = sharing(['one'], isClosed);
  const fail = (message: string) =>
    share(() => Promise.reject(new Error(message))).then(
      () => 'done',
      (error: Error) => error.message,
    );
  assert.is(await fail('other'), 'other');
  assert.is(await fail('closed'), 'closed');
  assert.is(await share((way) => Promise.resolve(way)), 'one');
});

test.run();
