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
  ['40th message of the first run', 'first', 40, 44],
  ['42nd message of a later run', 'again', 42, 29],
  ['17th message of down', 'down', 17, 9],
] as const satisfies [string, State, number, number][]) {
  test(`killed at every ${what}`, async ({ templates }) => {
    note(tell(await sweep(templates, { state, step, first, atOnce: 2, idleEvery: 4 })));
  });
}

test.run();
