// deadline 240
import { suite } from 'uvu';
import { note } from '../runner.ts';
import { sweep, tell } from './crash-sweep.ts';
import { NEUTRAL, prepare, type State, type Templates } from './small.ts';

/* A few of the cases of crash-sweep.neutral.test.ts, at other messages each time the count changes. */

const test = suite<{ templates: Templates }>('crash sweep of the second project, short');

test.before(async (context) => {
  context.templates = await prepare(NEUTRAL);
});

test.after(async ({ templates }) => {
  await templates.remove();
});

for (const [what, state, step, first] of [
  ['66th message of the first run', 'first', 66, 44],
  ['55th message of a later run', 'again', 55, 29],
  ['21st message of down', 'down', 21, 9],
] as const satisfies [string, State, number, number][]) {
  test(`killed at every ${what}`, async ({ templates }) => {
    note(tell(await sweep(templates, { state, step, first, atOnce: 2, idleEvery: 4 })));
  });
}

test.run();
