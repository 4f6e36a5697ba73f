// deadline 240
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import { dumpRows, open, runner, sameDump, type Scratch, scratch, succeed } from '../runner.ts';

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
  context.pair = await testPair({ name: 'settings', source: 'sample' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
});

test.before.each((context) => {
  context.project = scratch();
});

test.after.each(({ project }) => {
  project.remove();
});

test.after(async ({ pair, source, target }) => {
  await source.end();
  await target.end();
  await pair.drop();
});

test('secret columns are not in schema legacy, the others are', async ({ pair, target }) => {
  await succeed(pair, ['up', '1-foundation']);
  const columns = await target<{ table: string; names: string[] }[]>`
    select c.relname as table, array_agg(a.attname::text order by a.attnum) as names
    from pg_class as c
    join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'legacy'::regnamespace
      and c.relname in ('auth_user', 'dispatch_globalsetting')
    group by c.relname order by c.relname`;
  const secrets = ['password', 'setting', 'application_id', 'location_id', 'access_token'];
  assert.is(columns.length, 2);
  for (const { names } of columns) {
    assert.ok(names.length > 2, names.join());
    assert.equal(
      names.filter((name) => secrets.includes(name)),
      [],
    );
  }
});

test('a secret the source does not have is refused: another column may be meant', async (context) => {
  const { pair, project } = context;
  project.edit(SETTINGS, (text) => text.replace('"password"', '"pasword"'));
  const { code, stderr } = await runner(pair, ['up', '1-foundation'], { root: project.root });
  assert.is(code, 1, stderr);
  assert.match(stderr, 'the source has no column auth_user.pasword, which is called a secret');
  assert.match(stderr, 'correct the name in sql/settings.json');
});

test('malformed settings are refused with their place', async ({ pair, project }) => {
  project.edit(SETTINGS, (text) => text.replace('"secrets"', '"secret"'));
  const { code, stderr } = await runner(pair, ['up', '1-foundation'], { root: project.root });
  assert.is(code, 1, stderr);
  assert.match(stderr, /sql\/settings\.json:3:3 .*unknown key "secret"/);
});

test('a source in another schema: the same rows', async ({ pair, source, target, project }) => {
  const before = await dumpRows(target, { clock: false });
  await succeed(pair, ['down', '1-foundation', '--yes']);
  await source`alter schema public rename to old`;
  project.edit(SETTINGS, (text) => text.replace('"public"', '"old"'));
  await succeed(pair, ['up', '1-foundation'], { root: project.root });
  sameDump(await dumpRows(target, { clock: false }), before);
  // what changed is found there too
  await source`update old.dispatch_office set name = 'Changed' where id = (
    select min(id) from old.dispatch_office)`;
  await succeed(pair, ['up', '1-foundation'], { root: project.root });
  const changed = await target`select from public.offices where name = 'Changed'`;
  assert.is(changed.length, 1);
});

test.run();
