// deadline 240
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import {
  dumpRows,
  neutralProject,
  open,
  runner,
  sameDump,
  type Scratch,
  succeed,
} from '../runner.ts';

/* What is this project's own reaches the engine: sql/settings.json. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const SETTINGS = 'sql/settings.json';

const test = suite<Context>('settings');

test.before(async (context) => {
  context.pair = await testPair({ name: 'settings', source: 'neutral', target: 'neutral' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
});

test.before.each((context) => {
  context.project = neutralProject();
});

test.after.each(({ project }) => {
  project.remove();
});

test.after(async ({ pair, source, target }) => {
  await source.end();
  await target.end();
  await pair.drop();
});

test('secret columns are not in schema legacy, the others are', async ({
  pair,
  target,
  project,
}) => {
  await succeed(pair, ['up', '1'], { root: project.root });
  const columns = await target<{ name: string }[]>`
    select attname as name from pg_attribute
    where attrelid = 'legacy."Customer"'::regclass and attnum > 0 and not attisdropped`;
  assert.ok(columns.some(({ name }) => name === 'EMail'));
  assert.not(columns.some(({ name }) => name === 'PasswordHash'));
});

test('a secret the source does not have is refused: another column may be meant', async (context) => {
  const { pair, project } = context;
  project.edit(SETTINGS, (text) => text.replace('"PasswordHash"', '"Password"'));
  const { code, stderr } = await runner(pair, ['up', '1'], { root: project.root });
  assert.is(code, 1, stderr);
  assert.match(stderr, 'the source has no column Customer.Password, which is called a secret');
  assert.match(stderr, 'correct the name in sql/settings.json');
});

test('malformed settings are refused with their place', async ({ pair, project }) => {
  project.edit(SETTINGS, (text) => text.replace('"secrets"', '"secret"'));
  const { code, stderr } = await runner(pair, ['up', '1'], { root: project.root });
  assert.is(code, 1, stderr);
  assert.match(stderr, /sql\/settings\.json:3:3 .*unknown key "secret"/);
});

test('a source in another schema: the same rows', async ({ pair, source, target, project }) => {
  const { root } = project;
  const rows = () => dumpRows(target, { clock: false, root });
  const before = await rows();
  await succeed(pair, ['down', '1', '--yes'], { root });
  await source`alter schema public rename to old`;
  project.edit(SETTINGS, (text) => text.replace('"public"', '"old"'));
  await succeed(pair, ['up', '1'], { root });
  sameDump(await rows(), before);
  // what changed is found there too
  await source`update old.film set title = 'Changed' where film_id = 1`;
  await succeed(pair, ['up', '1'], { root });
  const changed = await target`select from public.films where title = 'Changed'`;
  assert.is(changed.length, 1);
});

test.run();
