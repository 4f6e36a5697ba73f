// deadline 300
/*
 * What a person sees of the first run of this project, at a terminal of 80 columns, beside what is kept in
 * test/golden/terminal/project. `GOLDEN=write` keeps what is seen now.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { settledLook, settledRun } from '../db/screens.ts';
import { testPair, type TestPair } from '../pair.ts';
import { ROOT, succeed } from '../runner.ts';
import { atTerminal, atWork, sameScreen } from '../terminal.ts';

const PROJECT = { root: ROOT };
const PLAIN = { columns: 80, env: { NO_COLOR: '1' } };

const test = suite<{ pair: TestPair }>('screens of the first project');

test.before(async (context) => {
  context.pair = await testPair({ name: 'screens', source: 'sample' });
});

test.after(async ({ pair }) => {
  await pair.drop();
});

test('its files pass the static checks', async () => {
  await succeed(null, ['check', '--static']);
});

atTerminal(test, 'the plan of a first run', async ({ pair }) => {
  const plan = await atWork(pair, PROJECT, ['plan'], PLAIN).ended;
  assert.is(plan.code, 0, plan.screen);
  sameScreen('project/plan-first-80', plan.screen, 80, settledLook);
});

atTerminal(test, 'a first run, and one with nothing to do', async ({ pair }) => {
  const first = await atWork(pair, PROJECT, ['up'], PLAIN).ended;
  assert.is(first.code, 0, first.screen);
  sameScreen('project/first-run-80', first.screen, 80, settledRun);
  const again = await atWork(pair, PROJECT, ['up'], PLAIN).ended;
  assert.is(again.code, 0, again.screen);
  // the verdict, with what checks count, takes two
  assert.is(again.screen.trim().split('\n').length, 5, again.screen);
  sameScreen('project/nothing-to-do-80', again.screen, 80, settledRun);
});

test.run();
