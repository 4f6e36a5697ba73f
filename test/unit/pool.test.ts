/* Sessions share tasks: what a task makes possible is done by whoever is free. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Session } from '../../runner/database.ts';
import { type Task, workThrough } from '../../runner/engine/pool.ts';

/** Nobody asks a session for anything here: who it is will do. */
const sessions = ['a', 'b'].map((name) => ({ name }) as unknown as Session);

test('both sessions work at the same time; the lower rank comes first; what follows waits', async () => {
  const log: string[] = [];
  let meet: (value?: unknown) => void = () => {};
  const met = new Promise((resolve) => {
    meet = resolve;
  });
  const task = (name: string, rank: number, next: Task[] = []): Task => ({
    rank,
    run: async () => {
      log.push(name);
      // the first two end only when both have begun
      if (name === 'one' || name === 'two') {
        if (log.includes('one') && log.includes('two')) meet();
        await met;
      }
      return next;
    },
  });
  await workThrough(sessions, [
    task('late', 9),
    task('two', 2, [task('three', 3)]),
    task('one', 1),
  ]);
  assert.equal(log.slice(0, 2), ['one', 'two']);
  assert.equal(log.slice(2).toSorted(), ['late', 'three']);
});

test('a session that has nothing to do waits for what the other makes possible', async () => {
  const log: string[] = [];
  const second: Task = {
    rank: 2,
    run: async () => {
      log.push('second');
      return [];
    },
  };
  const first: Task = {
    rank: 1,
    run: async () => {
      await new Promise((resolve) => setImmediate(resolve));
      log.push('first');
      return [second, { ...second, rank: 3 }];
    },
  };
  await workThrough(sessions, [first]);
  assert.equal(log, ['first', 'second', 'second']);
});

test('after a failure nothing is begun, and it is thrown when what runs has ended', async () => {
  const log: string[] = [];
  let fail: (value?: unknown) => void = () => {};
  const failing = new Promise((resolve) => {
    fail = resolve;
  });
  const run = (name: string, body: () => Promise<unknown>): Task => ({
    rank: log.length,
    run: async () => {
      await body();
      log.push(name);
      return [];
    },
  });
  const slow = run('slow', async () => {
    await failing;
    await new Promise((resolve) => setImmediate(resolve));
  });
  const broken = run('broken', async () => {
    fail();
    throw new Error('no');
  });
  const never = run('never', async () => {});
  let said = '';
  await workThrough(sessions, [slow, broken, never]).catch((error: Error) => {
    said = `${error.message}, after ${log.join()}`;
  });
  assert.is(said, 'no, after slow');
});

test.run();
