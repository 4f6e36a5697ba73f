// deadline 240
/* `diff`: what a changed file does to the rows, before any of them is written. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Differences, EntityDifference } from '../../runner/engine/diff.ts';
import { testPair, type TestPair } from '../pair.ts';
import {
  type Dump,
  dumpCatalog,
  entityFile,
  lastLine,
  noResidue,
  open,
  runner,
  sameDump,
  type Scratch,
  succeed,
  tinyProject,
  touches,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const PEOPLE = 'sql/1-people/10_people.sql';
const PLANS = 'sql/1-people/20_plans.sql';
const PROJECT = {
  [PEOPLE]: entityFile('people', 'person', [
    't.login as login',
    't.amount as amount',
    't.note as note',
    `case when t.note = 'note 9' then 'old' end as filter`,
    `case when t.note = 'note 7' then 'by_rule' end as reject`,
  ]),
  [PLANS]: entityFile('plans', 'plan', ['p.id as person_id', 't.name as name'], {
    joins: ['left join ids.people as p on p.legacy_id = t.person_id'],
  }),
};

const test = suite<Context>('diff');

test.before(async (context) => {
  context.project = tinyProject(PROJECT);
  context.pair = await testPair({ name: 'diff', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table person (id integer primary key, login text, amount text, note text);
    create table plan (id integer primary key, person_id integer, name text);
    insert into person select g, 'login ' || g, g || '.50', 'note ' || g
    from generate_series(1, 40) as g;
    insert into plan select g, g, 'plan ' || g from generate_series(1, 5) as g;
    grant select on all tables in schema public to legacy_reader`);
  await context.target.unsafe(`
    set role postgres;
    create table public.people (id uuid primary key, login text, amount text, note text, more text);
    create table public.plans (
      id uuid primary key, person_id uuid references public.people, name text)`);
  await succeed(context.pair, ['up'], { root: context.project.root });
});

test.after(async ({ pair, source, target, project }) => {
  await source.end();
  await target.end();
  await pair.drop();
  project.remove();
});

/** Edits the file of people; `diff --json` with exit 1; what it says of people. */
async function changed(
  { pair, project }: Context,
  from: string,
  to: string,
  ...args: string[]
): Promise<EntityDifference> {
  project.edit(PEOPLE, (text) => text.replace(from, to));
  const { root } = project;
  const { code, stdout, stderr } = await runner(pair, ['diff', '--json', ...args], { root });
  project.edit(PEOPLE, () => PROJECT[PEOPLE] ?? '');
  assert.is(code, 1, stderr);
  const { entities } = lastLine<Differences>({ code, stdout, stderr });
  assert.equal(
    entities.map(({ entity }) => entity),
    ['people'],
  );
  return entities[0] as EntityDifference;
}

test('files as they were applied: nothing, exit 0', async ({ pair, project }) => {
  const { stdout } = await succeed(pair, ['diff'], { root: project.root });
  assert.match(stdout, 'no file says anything else');
});

test('a column: how many rows, which keys; nothing is written, nothing stays', async (context) => {
  const { source, target } = context;
  const before = [
    await touches(target, ['public', 'ids'], { locks: true }),
    await dumpCatalog(target),
  ];
  const found = await changed(
    context,
    't.note as note',
    `case when t.id > 20 then upper(t.note) else t.note end as note`,
  );
  assert.equal(
    [found.change, found.come, found.go, found.compared, found.stored],
    [20, 0, 0, 40, 38],
  );
  assert.equal(
    found.columns.map(({ column, rows, keys, values }) => ({ column, rows, keys, values })),
    [{ column: 'note', rows: 20, keys: [21, 22, 23, 24, 25], values: [] }],
  );
  assert.equal(found.reasons, []);
  const after = [
    await touches(target, ['public', 'ids'], { locks: true }),
    await dumpCatalog(target),
  ];
  for (const [i, dump] of before.entries()) sameDump(after[i] as Dump, dump);
  await noResidue(target, source);
});

test('what = does not see is a difference all the same', async (context) => {
  const found = await changed(context, 't.amount as amount', `(t.amount || '0') as amount`);
  assert.equal([found.change, found.columns[0]?.column], [38, 'amount']);
});

test('rejects and filters that come and go, rows that come and go, and who follows', async (context) => {
  const found = await changed(
    context,
    `case when t.note = 'note 7' then 'by_rule' end as reject`,
    `case when t.id in (1, 2) then 'new_rule' end as reject`,
  );
  assert.equal([found.come, found.comeKeys, found.go, found.goKeys], [1, [7], 2, [1, 2]]);
  assert.equal(found.reasons, [
    { kind: 'reject', reason: 'by_rule', come: 0, go: 1, keys: [7] },
    { kind: 'reject', reason: 'new_rule', come: 2, go: 0, keys: [1, 2] },
  ]);
  assert.equal(found.follows, ['plans']);
  const filter = await changed(context, `when t.note = 'note 9' then`, `when t.id > 38 then`);
  assert.equal(filter.reasons, [
    { kind: 'filter', reason: 'old', come: 2, go: 1, keys: [9, 39, 40] },
  ]);
  assert.equal([filter.come, filter.go], [1, 2]);
});

test('a value that cannot be read any more: a reject of that row', async (context) => {
  const found = await changed(
    context,
    't.amount as amount',
    `case when t.id = 30 then (t.login::numeric)::text else t.amount end as amount`,
  );
  assert.equal(found.reasons, [
    { kind: 'reject', reason: 'error_22P02', come: 1, go: 0, keys: [30] },
  ]);
  assert.equal([found.go, found.goKeys, found.change], [1, [30], 0]);
});

test('a column more, and one less', async (context) => {
  const more = await changed(context, 't.login as login', `t.login as login,\n  t.login as more`);
  assert.equal(
    more.columns.map(({ column, added, rows }) => ({ column, added, rows })),
    [{ column: 'more', added: true, rows: 38 }],
  );
  const less = await changed(context, `t.note as note,\n`, '');
  assert.equal(
    less.columns.map(({ column, dropped, rows }) => ({ column, dropped, rows })),
    [{ column: 'note', dropped: true, rows: 38 }],
  );
});

test('values only with --show-data; a screen of 80 columns, and Markdown', async (context) => {
  const { pair, project } = context;
  const { root } = project;
  project.edit(PEOPLE, (text) => text.replace('t.note as note', `t.note || ' !' as note`));
  const silent = await runner(pair, ['diff'], { root });
  assert.is(silent.code, 1);
  assert.not.match(silent.stdout + silent.stderr, 'note 1');
  assert.match(silent.stdout, /^people {2}sql\/1-people\/10_people\.sql +40 rows compared$/m);
  assert.match(silent.stdout, /^ {2}note +38 +100 % +1, 2, 3, 4, 5 …$/m);
  assert.match(silent.stdout, 'rejects: unchanged');
  assert.ok(silent.stdout.split('\n').every((line) => line.length <= 80));
  const shown = await runner(pair, ['diff', '--show-data'], { root });
  assert.match(shown.stdout, 'note of 1: note 1 → note 1 !');
  const summary = join(tmpdir(), `diff-${process.pid}.md`);
  writeFileSync(summary, '');
  const env = { GITHUB_ACTIONS: 'true', GITHUB_STEP_SUMMARY: summary };
  const { stdout } = await runner(pair, ['diff', '--markdown'], { root, env });
  assert.match(stdout, '| note | 38 | 100 % | 1, 2, 3, 4, 5 … |');
  assert.match(readFileSync(summary, 'utf8'), '| note | 38 |');
  rmSync(summary);
  project.edit(PEOPLE, () => PROJECT[PEOPLE] ?? '');
});

test('only the text is another: said, exit 0; a view that cannot be made: its place, exit 1', async ({
  pair,
  project,
}) => {
  const { root } = project;
  project.edit(PEOPLE, (text) => text.replace('-- Rows', '-- All rows'));
  const same = await succeed(pair, ['diff'], { root });
  assert.match(same.stdout, 'people: the text is another, every row is the same');
  project.edit(PEOPLE, (text) => text.replace('t.note as note', 't.nothing as note'));
  const env = { GITHUB_ACTIONS: 'true' };
  const { code, stderr } = await runner(pair, ['diff'], { root, env });
  assert.is(code, 1);
  assert.match(stderr, /sql\/1-people\/10_people\.sql:\d+:\d+ .*nothing/);
  assert.match(stderr, '::error file=sql/1-people/10_people.sql,line=');
  project.edit(PEOPLE, () => PROJECT[PEOPLE] ?? '');
});

test('--base: against the files of a commit, also where nothing of it was ever applied', async (context) => {
  const { pair, project } = context;
  const { root } = project;
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
      cwd: root,
      encoding: 'utf8',
    });
  git('init', '-q');
  git('add', 'sql');
  git('commit', '-qm', 'base');
  assert.match((await succeed(pair, ['diff', '--base', 'HEAD'], { root })).stdout, 'no file says');
  project.edit(PEOPLE, (text) => text.replace('t.note as note', 'upper(t.note) as note'));
  const empty = await testPair({ name: 'diff_base', source: 'empty' });
  const target = open(empty.targetAdminUrl);
  await target.unsafe(`
    set role postgres;
    create table public.people (id uuid primary key, login text, amount text, note text, more text);
    create table public.plans (
      id uuid primary key, person_id uuid references public.people, name text)`);
  await target.end();
  const urls = { sourceUrl: pair.sourceUrl, targetUrl: empty.targetUrl };
  const nothing = await runner(urls, ['diff'], { root });
  assert.is(nothing.code, 1);
  assert.match(nothing.stderr, 'nothing is migrated yet');
  const { code, stdout } = await runner(urls, ['diff', '--base', 'HEAD'], { root });
  assert.is(code, 1);
  assert.match(stdout, /note +38 +100 %/);
  const wrong = await runner(urls, ['diff', '--base', 'nowhere'], { root });
  assert.is(wrong.code, 2);
  assert.match(wrong.stderr, 'git knows no commit nowhere');
  await empty.drop();
  project.edit(PEOPLE, () => PROJECT[PEOPLE] ?? '');
});

test.run();
