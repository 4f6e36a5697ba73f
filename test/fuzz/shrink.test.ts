import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Operation, operationsOf, say } from './operations.ts';
import { shrink } from './shrink.ts';

/* Lists of operations, and what is left of them when a failure is looked for: no database. */

const test = suite('shrink');

/** As if a row that was deleted after an edit of the application were lost by the next run. */
function isLost(list: Operation[]): boolean {
  const edited = list.findIndex(({ kind, ...rest }) => kind === 'target' && holds(rest, 'plans'));
  const deleted = list.findIndex(
    ({ kind, ...rest }, place) =>
      kind === 'source' && place > edited && holds(rest, 'delete from plan'),
  );
  return edited >= 0 && deleted >= 0 && list.slice(deleted).some(({ kind }) => kind === 'up');
}

function holds(operation: object, word: string): boolean {
  return 'text' in operation && String(operation.text).includes(word);
}

test('the same seed gives the same operations, another one others', () => {
  assert.equal(operationsOf(7, 20), operationsOf(7, 20));
  assert.not.equal(operationsOf(7, 20), operationsOf(8, 20));
});

test('every kind of operation comes, and a down of everything is the last', () => {
  const list = operationsOf(1, 100);
  assert.equal([...new Set(list.map(({ kind }) => kind))].toSorted(), [
    'down',
    'kill',
    'source',
    'target',
    'up',
  ]);
  assert.equal(list.slice(-2), [{ kind: 'up', options: {} }, { kind: 'down' }]);
  const policies = list.map((each) => ('options' in each ? each.options.policy : undefined));
  assert.ok(policies.includes('source') && policies.includes('target'));
});

test('of hundreds of operations the three remain that a failure needs, in their order', async () => {
  const list = operationsOf(7, 100);
  assert.ok(isLost(list));
  let asked = 0;
  const shortest = await shrink(list, (each) => {
    asked += 1;
    return Promise.resolve(isLost(each));
  });
  assert.equal(
    shortest.map(({ kind }) => kind),
    ['target', 'source', 'up'],
    shortest.map(say).join('\n'),
  );
  assert.ok(isLost(shortest));
  assert.ok(asked < 100, `${asked} lists were tried of ${list.length} operations`);
});

test('a failure that needs the first and the last of them is found, too', async () => {
  const numbers = Array.from({ length: 100 }, (_, place) => place);
  const needs = (list: number[]) => Promise.resolve([0, 41, 99].every((n) => list.includes(n)));
  assert.equal(await shrink(numbers, needs), [0, 41, 99]);
});

test('when the time is over, what fails so far is the answer', async () => {
  const numbers = Array.from({ length: 64 }, (_, place) => place);
  let asked = 0;
  const fails = (list: number[]) => {
    asked += 1;
    return Promise.resolve(list.includes(60));
  };
  const left = await shrink(numbers, fails, () => asked >= 3);
  assert.is(asked, 3);
  assert.ok(left.includes(60) && left.length < 64);
});

test.run();
