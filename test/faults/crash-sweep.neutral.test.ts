// deadline 7200
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { note } from '../runner.ts';
import { sweep, tell } from './crash-sweep.ts';
import { NEUTRAL, prepare, type Templates } from './small.ts';

/* What crash-sweep.test.ts does, with the second project; and `down`. SWEEP_STEP as there. */
const STEP = Number(process.env['SWEEP_STEP'] ?? '1');

const test = suite<{ templates: Templates }>('crash sweep of the second project');

test.before(async (context) => {
  context.templates = await prepare(NEUTRAL);
});

test.after(async ({ templates }) => {
  await templates.remove();
});

for (const [what, state, least] of [
  ['the first run', 'first', 100],
  ['a later run', 'again', 100],
  ['down', 'down', 30],
] as const) {
  test(`killed at every message of ${what}`, async ({ templates }) => {
    const swept = await sweep(templates, { state, step: STEP, atOnce: 3, idleEvery: 10 });
    note(tell(swept));
    assert.ok(swept.cases > least / STEP, `only ${swept.cases} cases`);
  });
}

test.run();
