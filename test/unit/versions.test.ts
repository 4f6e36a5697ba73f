import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { intervals } from '../../runner/merge.ts';

const of = (...ranges: number[]): { range: number }[] => ranges.map((range) => ({ range }));

test('no ranges, no intervals', () => {
  assert.equal(intervals([], 10), []);
});

test('a range begins at its first key and ends before that of the next', () => {
  assert.equal(intervals(of(0), 10), [[0, 10]]);
  assert.equal(intervals(of(7), 1), [[7, 8]]);
});

test('neighbours become one interval, a gap begins another', () => {
  assert.equal(intervals(of(0, 1, 2, 5, 7, 8), 100), [
    [0, 300],
    [500, 600],
    [700, 900],
  ]);
});

test('every key of the ranges is in one interval, no other is', () => {
  const ranges = [1, 2, 4, 9, 10, 11, 30];
  const found = intervals(of(...ranges), 7);
  for (let key = 0; key < 31 * 7 + 7; key += 1) {
    const holding = found.filter(([from = 0, end = 0]) => key >= from && key < end).length;
    assert.is(holding, ranges.includes(Math.floor(key / 7)) ? 1 : 0, `key ${key}`);
  }
});

test('keys beyond 32 bits', () => {
  assert.equal(intervals(of(300_000, 300_001), 10_000), [[3_000_000_000, 3_000_020_000]]);
});

test.run();
