// deadline 240
import { suite } from 'uvu';
import { note } from '../runner.ts';
import { sweep, tell } from './crash-sweep.ts';
import { prepare, type Templates } from './small.ts';

/* A few of the cases of crash-sweep.test.ts, at other messages each time the count changes. */

const test = suite<{ templates: Templates }>('crash sweep, short');

test.before(async (context) => {
  context.templates = await prepare();
});

test.after(async ({ templates }) => {
  await templates.remove();
});

test('killed at every 29th message of the first run', async ({ templates }) => {
  const swept = await sweep(templates, {
    ...{ state: 'first', step: 29, first: 11 },
    ...{ atOnce: 2, idleEvery: 4 },
  });
  note(tell(swept));
});

test.run();
