// deadline 120
/* What is said when something is wrong: once, by its cause, with the place and what to do. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import {
  entityFile,
  lastLine,
  neutralProject,
  open,
  runner,
  succeed,
  tinyProject,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

const test = suite<Context>('says');

test.before(async (context) => {
  context.pair = await testPair({ name: 'says', source: 'empty', target: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table person (id integer primary key, note text);
    insert into person select g, 'secret ' || g from generate_series(1, 40) as g;
    create table agent (id integer primary key, note integer);
    insert into agent values (1, 70000);
    grant select on all tables in schema public to legacy_reader`);
  await context.target.unsafe(`
    set role postgres;
    create table public.people (id uuid primary key, note text)`);
});

test.after(async ({ pair, source, target }) => {
  await source.end();
  await target.end();
  await pair.drop();
});

const PEOPLE = { 'sql/1-people/10_people.sql': entityFile('people', 'person', ['t.note as note']) };

test('another database as source: one sentence, and nothing that follows from it', async ({
  pair,
  source,
}) => {
  const other = await testPair({ name: 'says', source: 'empty', target: 'neutral' });
  const urls = { sourceUrl: pair.sourceUrl, targetUrl: other.targetUrl };
  const said = async (how: string, args: string[], lines: number) => {
    const { code, stdout, stderr } = await runner(urls, args, { root: NEUTRAL });
    const text = stdout + stderr;
    assert.is(code, 1, text);
    const plain = text.replace(/\s+/g, ' ');
    assert.match(plain, `${how} of the 11 tables that the files read is in database says_`);
    assert.match(plain, /database says_\w+ at 127\.0\.0\.1[^]*is SOURCE_DATABASE_URL the right/);
    assert.ok(text.split('\n').length <= lines, text);
  };
  await said('none', ['up'], 15);
  await said('none', ['plan'], 15);
  await said('none', ['doctor'], 50);
  await said('none', ['diff', 'films'], 15);
  await source.unsafe(`
    create table actor (actor_id uuid primary key);
    grant select on actor to legacy_reader`);
  await said('only 1', ['plan'], 15);
  await source`drop table actor`;
  await other.drop();
});

test('problems of one cause: a few of them and how many; all with --all, and in JSON', async ({
  pair,
}) => {
  const files = Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => [
      `sql/1-people/${i + 10}_p${i}.sql`,
      entityFile('people', 'person', ['t.note as nothing']).replaceAll(
        'transform.people',
        `transform.p${i}`,
      ),
    ]),
  );
  const project = tinyProject(files);
  const { root } = project;
  const few = await runner(pair, ['plan'], { root });
  assert.is(few.code, 1);
  const places = (text: string) => text.match(/^sql\/\S+:\d+:\d+ /gm)?.length ?? 0;
  assert.ok(places(few.stderr) <= 20, few.stderr);
  assert.match(few.stderr, /and \d+ more like it/);
  assert.match(few.stderr, /^30 in all; --all shows every one$/m);
  const all = await runner(pair, ['plan', '--all'], { root });
  assert.is(places(all.stderr), 30);
  const json = await runner(pair, ['plan', '--json'], { root });
  assert.is(lastLine<{ problems: object[] }>(json).problems.length, 30);
  project.remove();
});

test('a file that does not parse is one finding; nothing is claimed of what it carries', async () => {
  const project = neutralProject();
  const { root } = project;
  const file = 'sql/1-catalogue/10_languages.sql';
  project.edit(file, (text) => text.replace('\nfrom ', '\nfromm '));
  const { code, stdout, stderr } = await runner(null, ['check', '--static'], { root });
  assert.is(code, 1);
  assert.equal(stderr.match(/^\S+:\d+:\d+ /gm), [`${file}:13:1 `]);
  assert.match(stdout, 'not proved, 1 of the files cannot be read');
  const alone = await runner(null, ['check', 'coverage', '--static'], { root });
  assert.is(alone.code, 1);
  assert.equal(alone.stderr.match(/^\S+:\d+:\d+ /gm), [`${file}:1:1 `]);
  project.remove();
});

test('an error of the server at run time: entity, file, SQLSTATE, what to do, no value', async ({
  pair,
  target,
}) => {
  const project = tinyProject(PEOPLE);
  const { root } = project;
  await target.unsafe(`
    create function public.no() returns trigger language plpgsql as
    $$ begin raise exception 'not on a friday'; end $$;
    create trigger no before insert on public.people for each row execute function public.no()`);
  const raised = await runner(pair, ['up'], { root });
  assert.is(raised.code, 1);
  assert.match(
    raised.stderr,
    'phase 1-people failed: people: not on a friday (SQLSTATE P0001)\n' +
      '  sql/1-people/10_people.sql: a trigger of the application raised this',
  );
  await target.unsafe(`
    drop trigger no on public.people;
    create or replace function public.no() returns trigger language plpgsql as
    $$ begin execute 'select nothing'; return new; end $$;
    create trigger no before insert on public.people for each row execute function public.no()`);
  const gone = await runner(pair, ['up'], { root });
  assert.match(
    gone.stderr,
    /people: column "nothing" does not exist \(SQLSTATE 42703\)\n +sql\/1-people/,
  );
  await target.unsafe('drop trigger no on public.people');
  await succeed(pair, ['up'], { root });
  project.remove();
});

test('the archive names its table and file', async ({ pair, target }) => {
  const project = tinyProject({
    ...PEOPLE,
    'sql/archive/agent.sql': `-- Agents.
--
-- target   legacy_archive.agent
-- source   agent

create table if not exists legacy_archive.agent (
  id   bigint primary key,
  note smallint
);
`,
  });
  const { root } = project;
  const { code, stderr } = await runner(pair, ['up'], { root });
  assert.is(code, 1);
  assert.match(stderr, /phase archive failed: legacy_archive\.agent: /);
  assert.match(stderr, '  sql/archive/agent.sql: ');
  assert.not.match(stderr, '70000');
  await target`drop table if exists legacy_archive.agent`;
  project.remove();
});

test('a project without schema changes: no folder is needed', async () => {
  const pair = await testPair({ name: 'folderless', source: 'empty', target: 'empty' });
  const [source, target] = [open(pair.sourceAdminUrl), open(pair.targetAdminUrl)];
  await source.unsafe('create table person (id integer primary key, note text)');
  await source.unsafe('grant select on person to legacy_reader');
  await target.unsafe(
    'set role postgres; create table public.people (id uuid primary key, note text)',
  );
  await Promise.all([source.end(), target.end()]);
  const project = tinyProject(PEOPLE);
  const { root } = project;
  for (const args of [['plan'], ['up'], ['status'], ['schema', 'status']]) {
    const { stderr, stdout } = await succeed(pair, args, { root });
    assert.not.match(stderr + stdout, 'ENOENT');
  }
  project.remove();
  await pair.drop();
});

test.run();
