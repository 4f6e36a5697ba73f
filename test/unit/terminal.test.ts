/* What a terminal shows: measured in cells, cut and wrapped; the lines that move; the name of a run. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventSchema, type Happening } from '../../runner/engine/events.ts';
import { nameOf, type Standing, trackRun } from '../../runner/engine/progress.ts';
import { liveLines } from '../../runner/terminal/run-screen.ts';
import { tableLines } from '../../runner/terminal/table.ts';
import { cut, painted, percent, printable, widthOf, wrap } from '../../runner/terminal/text.ts';
import { screenOf } from '../terminal.ts';
import { ROOT } from '../runner.ts';

const GREEN = [32, 39] as const;
const at: Standing = {
  phase: '3-operations',
  entity: 'tasks',
  entityDone: 40_989,
  entityTotal: 307_585,
  entities: 9,
  entitiesDone: 5,
  phaseDone: 407_220,
  phaseTotal: 816_121,
  phaseSeconds: 41.3,
  done: 437_515,
  total: 1_121_833,
  rate: 10_900,
  phaseLeft: 38,
  left: 63,
};

test('a text is as wide as its cells: colours take none, Chinese takes two', () => {
  assert.is(widthOf(painted(GREEN, '✓ done')), 6);
  assert.is(widthOf('牙科'), 4);
  assert.is(widthOf('Zahnärztin 👩‍⚕️'), 13);
});

test('what is cut fits, and no letter is broken', () => {
  assert.is(cut('牙科診所', 6), '牙科…');
  assert.is(cut('abcdef', 6), 'abcdef');
  for (let width = 1; width < 12; width += 1) {
    assert.ok(widthOf(cut(painted(GREEN, 'a牙b👩‍⚕️cdef'), width)) <= width, `${width}`);
  }
});

test('colours are for streams that show them; what the data says is never one', () => {
  const text = `${painted(GREEN, 'ok')} \u001b[31mred\u0007`;
  assert.is(printable(text, true), '\u001b[32mok\u001b[39m ␛[31mred␇');
  assert.is(printable(text, false), 'ok ␛[31mred␇');
});

test('sentences are broken between words, words only where they are longer than a line', () => {
  assert.equal(wrap('one two three', 8), ['one two', 'three']);
  assert.equal(wrap('  indented', 20), ['  indented']);
  assert.equal(wrap('abcdefghij', 4), ['abcd', 'efgh', 'ij']);
});

test('a table: columns with nothing or zeros only are not there, zeros are dots, texts are wrapped', () => {
  const rows = [
    ['rentals', 13, 0, 0, '', 'a long remark about it'],
    ['tasks', 61_000, 0, 9, null, ''],
  ];
  const head = ['entity', 'rows', 'gone', 'rejected', 'sqlstate', 'remark'];
  assert.equal(tableLines(head, rows, 80), [
    'entity     rows  rejected  remark',
    'rentals      13         ·  a long remark about it',
    'tasks    61,000         9',
  ]);
  assert.equal(tableLines(head, rows, 40), [
    'entity     rows  rejected  remark',
    'rentals      13         ·  a long remark\n                           about it',
    'tasks    61,000         9',
  ]);
  assert.equal(tableLines(head, rows, 30, ['remark']), [
    'entity     rows  rejected',
    'rentals      13         ·',
    'tasks    61,000         9',
  ]);
});

test('the lines that move say where the run is, and fit', () => {
  const told = { committed: ['1-foundation', '2-core'], dryRun: false };
  assert.equal(
    liveLines(at, told).map((line) => printable(line, false)),
    [
      '▸ 3-operations           5 of 9  407,220 of 816,121 rows   tasks          41.3 s',
      '  ███████████████░░░░░░░░░░░░░░░░░  49 %   10,900 rows/s   about 38 s',
      '  all phases 39 % · about 63 s left · Ctrl-C is safe: 2-core is committed',
    ],
  );
  const [first, , last] = liveLines({ ...at, rate: undefined, left: undefined }, told);
  assert.ok(widthOf(first ?? '') <= 80);
  assert.match(last ?? '', 'all phases 39 % · Ctrl-C');
});

test('lines that move are shown in the place of those before them', () => {
  assert.is(screenOf('one\r\ntwo\r\n\r\u001b[1A\u001b[Jthree\r\n'), 'one\nthree\n');
  assert.is(screenOf('\u001b[32mgood\u001b[39m'), '‹32›good‹39›');
});

test('100 per cent is all of it', () => {
  assert.equal([percent(0.999), percent(1), percent(0.004)], ['99 %', '100 %', '0 %']);
});

/** A clock, and a run that is told of at its times. */
function told(events: [number, Happening][], until: number): Standing | undefined {
  let now = 0;
  const tracker = trackRun(() => now);
  for (const [second, event] of events) {
    now = second * 1000;
    tracker.hear(event);
  }
  now = until * 1000;
  return tracker.standing();
}

const begun = (rows: number): [number, Happening][] => [
  [
    0,
    {
      type: 'run.started',
      run: 1,
      command: 'up',
      target: 'host',
      dryRun: false,
      phases: 2,
      entities: 2,
      rows,
      sourceRows: rows,
    },
  ],
  [0, { type: 'phase.started', phase: '1-one', entities: 1, rows: rows / 2 }],
];
const done = (second: number, rows: number, total: number): [number, Happening] => [
  second,
  { type: 'entity.progress', phase: '1-one', entity: 'things', done: rows, total },
];

test('the rate is that of the last fifteen seconds, the rest is told from three per cent on', () => {
  const early = told([...begun(200_000), done(0, 0, 100_000), done(1, 2_000, 100_000)], 1);
  assert.is(early?.rate, 2_000);
  assert.is(early?.phaseLeft, undefined, 'two per cent tell nothing');
  const slower = told(
    [
      ...begun(200_000),
      done(0, 0, 100_000),
      done(10, 50_000, 100_000),
      done(30, 52_000, 100_000),
      done(40, 53_000, 100_000),
    ],
    40,
  );
  assert.ok(Math.abs((slower?.rate ?? 0) - 100) < 1, `${slower?.rate}`);
  assert.ok(Math.abs((slower?.phaseLeft ?? 0) - 470) < 5);
  assert.ok(Math.abs((slower?.left ?? 0) - 1470) < 15);
});

test('a phase that is tried again is not counted twice', () => {
  const again = told(
    [...begun(200_000), done(1, 90_000, 100_000), done(2, 0, 100_000), done(3, 10_000, 100_000)],
    3,
  );
  assert.equal([again?.phaseDone, again?.done, again?.total], [10_000, 10_000, 200_000]);
});

test('the name of the keeper: whole where it fits, never longer than the server keeps', () => {
  assert.is(nameOf('up', at), 'runner up 3-operations/tasks 39pct eta 63s 40989/307585');
  const long = { ...at, phase: '6-supporting', entity: 'customer_feedback_comments_of_somebody' };
  const name = nameOf('up --dry-run', long);
  assert.ok(Buffer.byteLength(name) <= 63, name);
  assert.match(name, / 39pct eta 63s$/);
  assert.is(nameOf('retry', undefined), 'runner retry');
});

test('the JSON Schema of the events is the one that is handed out', () => {
  const file = join(ROOT, 'runner/docs/events.schema.json');
  const text = `${JSON.stringify(eventSchema(), null, 2)}\n`;
  if (process.env['GOLDEN'] === 'write') writeFileSync(file, text);
  assert.is(
    readFileSync(file, 'utf8'),
    text,
    'GOLDEN=write npx tsx test/run.ts test/unit/terminal.test.ts',
  );
});

test.run();
