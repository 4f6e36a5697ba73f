// deadline 7200
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { note } from '../runner.ts';
import { sweep, tell } from './crash-sweep.ts';
import { prepare, type Templates } from './small.ts';

/*
 * SIGKILL before every request and every reply of a run over several phases and ranges. On two idle
 * cores about an hour; SWEEP_STEP=7 tries every seventh message.
 */
const STEP = Number(process.env['SWEEP_STEP'] ?? '1');

const test = suite<{ templates: Templates }>('crash sweep');

test.before(async (context) => {
  context.templates = await prepare();
});

test.after(async ({ templates }) => {
  await templates.remove();
});

test('killed at every message of the first run', async ({ templates }) => {
  const swept = await sweep(templates, { state: 'first', step: STEP, atOnce: 3, idleEvery: 10 });
  note(tell(swept));
  assert.ok(swept.cases > 100 / STEP, `only ${swept.cases} cases`);
});

test('killed at every message of a later run', async ({ templates }) => {
  const swept = await sweep(templates, { state: 'again', step: STEP, atOnce: 3, idleEvery: 10 });
  note(tell(swept));
  assert.ok(swept.cases > 100 / STEP, `only ${swept.cases} cases`);
});

test('killed at every eleventh message of a run with two workers', async ({ templates }) => {
  const swept = await sweep(templates, {
    ...{ state: 'first', step: 11 * STEP, first: 3, jobs: 2 },
    ...{ atOnce: 3, idleEvery: 10 },
  });
  note(tell(swept));
});

test.run();
