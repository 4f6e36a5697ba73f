// deadline 240
/* `plan` says what `up` then does: every number of it is compared with what became of the rows. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { movesRows, type Plan } from '../../runner/engine/plan.ts';
import { testPair, type TestPair } from '../pair.ts';
import {
  entityFile,
  lastLine,
  open,
  runner,
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
const PROJECT = {
  [PEOPLE]: entityFile('people', 'person', [
    't.login as login',
    't.note as note',
    `case when t.note = 'left out' then 'old' end as filter`,
    `case when t.note = 'reject' then 'by_rule' end as reject`,
  ]).replace('adopt    none', 'adopt    login'),
  'sql/1-people/20_plans.sql': entityFile(
    'plans',
    'plan',
    [
      'p.id as person_id',
      't.name as name',
      `case when p.id is null then 'people' end as missing`,
      `case when p.id is null then 'orphan' end as reject`,
    ],
    { joins: ['left join ids.people as p on p.legacy_id = t.person_id'] },
  ),
  'sql/2-links/10_links.sql': entityFile('links', 'link', ['t.note as note'], {
    header: '-- deletes  remove\n',
  }),
  // more than are compared whole when one of them changes
  'sql/2-links/30_memos.sql': entityFile('memos', 'memo', ['t.note as note']),
  'sql/2-links/20_boxes.sql': entityFile('boxes', 'box', ['m.id as parent_id', 't.name as name'], {
    joins: ['left join ids.boxes as m on m.legacy_id = t.parent_id'],
  }),
};
const FILE = join(tmpdir(), `plan-${process.pid}.json`);

const test = suite<Context>('plan');

test.before(async (context) => {
  context.project = tinyProject(PROJECT);
  context.pair = await testPair({ name: 'plan', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table person (id integer primary key, login text, note text);
    create table plan (id integer primary key, person_id integer, name text);
    create table link (id integer primary key, note text);
    create table memo (id integer primary key, note text);
    insert into memo select g, 'memo ' || g from generate_series(1, 1500) as g;
    create table box (id integer primary key, parent_id integer, name text);
    insert into person select g, 'login ' || g, 'note ' || g from generate_series(1, 400) as g;
    update person set note = 'reject' where id in (7, 8);
    update person set note = 'left out' where id = 9;
    insert into plan select g, g, 'plan ' || g from generate_series(1, 20) as g;
    insert into link select g, 'link ' || g from generate_series(1, 100) as g;
    insert into box select g, nullif(g - 1, 0), 'box ' || g from generate_series(1, 10) as g;
    grant select on all tables in schema public to legacy_reader`);
  await context.target.unsafe(`
    set role postgres;
    create table public.people (id uuid primary key default gen_random_uuid(), login text, note text);
    create table public.plans (
      id uuid primary key, person_id uuid references public.people, name text);
    create table public.memos (id uuid primary key, note text);
    create table public.links (id uuid primary key, note text);
    create table public.boxes (
      id uuid primary key, parent_id uuid references public.boxes, name text);
    insert into public.people (login, note) values ('login 30', 'there before')`);
});

test.after(async ({ pair, source, target, project }) => {
  await source.end();
  await target.end();
  await pair.drop();
  project.remove();
  rmSync(FILE, { force: true });
});

/** `plan --json`. */
async function planned({ pair, project }: Context, ...args: string[]): Promise<Plan> {
  const { root } = project;
  return lastLine<Plan>(await succeed(pair, ['plan', '--json', ...args], { root }));
}

/** Everything of a plan that `up` can be held to: entity, then what is not zero. */
function foretold({ entities }: Plan): Record<string, string> {
  return Object.fromEntries(
    entities
      .filter((each) => movesRows(each))
      .map((e) => [
        e.entity,
        `inserted ${e.new} updated ${e.changed + e.recognised} gone ${e.gone} ` +
          `rejects ${e.rejects_after}`,
      ]),
  );
}

/** The same of the run that came after. */
async function done({ pair, project, target }: Context): Promise<Record<string, string>> {
  await succeed(pair, ['up'], { root: project.root });
  const rows = await target<{ entity: string; line: string }[]>`
    select c.entity, concat('inserted ', inserted, ' updated ', updated,
      ' gone ', case when e.removes then c.gone else (
        select count(*) from migration.gone as g where g.entity = c.entity and g.run = c.run) end,
      ' rejects ', (select count(*) from migration.rejects as r
        where r.entity = c.entity and r.resolved_run is null)) as line
    from migration.control as c join migration.entities as e on e.entity = c.entity
    where c.run = (select max(run) from migration.runs) and (c.rows_read > 0 or exists (
      select from migration.gone as g where g.entity = c.entity and g.run = c.run))
    order by c.entity`;
  return Object.fromEntries(rows.map(({ entity, line }) => [entity, line]));
}

test('before the first run: what is inserted, recognised, rejected; nothing of it stays', async (context) => {
  const { pair, project, target } = context;
  const before = await touches(target, ['public'], { locks: true });
  const plan = await planned(context);
  assert.is(plan.exact, true);
  assert.equal(await touches(target, ['public'], { locks: true }), before, 'a row was locked');
  const [schemas] = await target`select count(*)::integer as n from pg_namespace
    where nspname in ('migration', 'ids', 'merge')`;
  assert.is(schemas?.['n'], 0);
  assert.equal(
    plan.entities.map(({ entity, rows, read }) => [entity, rows, read]),
    [
      ['people', 400, 400],
      ['plans', 20, 20],
      ['links', 100, 100],
      ['boxes', 10, 10],
      ['memos', 1500, 1500],
    ],
  );
  const told = foretold(plan);
  assert.equal(told, {
    people: 'inserted 396 updated 1 gone 0 rejects 2',
    plans: 'inserted 17 updated 0 gone 0 rejects 3',
    links: 'inserted 100 updated 0 gone 0 rejects 0',
    boxes: 'inserted 10 updated 0 gone 0 rejects 0',
    memos: 'inserted 1500 updated 0 gone 0 rejects 0',
  });
  assert.equal(await done(context), told);
  const { stdout } = await succeed(pair, ['plan'], { root: project.root });
  assert.match(stdout, '5 entities unchanged: 2,030 rows in unchanged versions, not read');
  assert.match(stdout, 'nothing to do');
  assert.ok(stdout.trimEnd().split('\n').length <= 6, stdout);
});

test('of a changed source: new, changed, gone, rejects that come and go, and who follows', async (context) => {
  const { source } = context;
  await source`insert into person values (401, 'login 401', 'new'), (402, 'login 402', 'reject')`;
  // a new version that says the same, and two that do not
  await source`update person set note = note where id = 1`;
  await source`update person set note = 'other' where id in (2, 3)`;
  await source`update person set note = 'welcome' where id = 7`;
  await source`update person set note = 'reject' where id = 20`;
  await source`delete from link where id in (5, 6)`;
  await source`insert into box values (11, 10, 'box 11')`;
  // gone, and nothing to read of it
  await source`delete from memo where id = 7`;
  const plan = await planned(context);
  const { stdout } = await succeed(context.pair, ['plan'], { root: context.project.root });
  assert.match(stdout, /^2-links\/memos +0 +· +· +1 +· +\d/m);
  assert.match(
    stdout,
    'rows      4 to insert, 2 to update, 2 gone (kept), 2 removed, 2 new rejects',
  );
  const told = foretold(plan);
  assert.match(told['memos'] ?? '', 'gone 1');
  // plan 7 waited for person 7
  assert.match(told['plans'] ?? '', 'inserted 1 updated 0 gone 0 rejects 2');
  assert.match(told['people'] ?? '', 'inserted 2 updated 2 gone 1 rejects 3');
  assert.match(told['links'] ?? '', 'gone 2');
  assert.equal(await done(context), told);
});

test('a file that is changed: its rows, and that it is the file', async (context) => {
  const { pair, project } = context;
  project.edit(PEOPLE, (text) => text.replace('t.note as note', 'upper(t.note) as note'));
  const { stdout } = await succeed(pair, ['plan'], { root: project.root });
  assert.match(stdout, /1-people\/people +402 +\d+ +.*changed$/m);
  const told = foretold(await planned(context));
  assert.equal(await done(context), told);
});

test('rejects beyond the limit, removals beyond the cap: said before', async (context) => {
  const { pair, source, project } = context;
  await source`update person set note = 'reject' where id between 100 and 120`;
  await source`delete from link where id > 50`;
  const { stdout } = await succeed(pair, ['plan'], { root: project.root });
  assert.match(stdout, /STOP +people: 2\d rejects, 4 are allowed: `up` would fail/);
  assert.match(stdout, /STOP +links: 50 rows to remove, 4 without --yes/);
  await source`update person set note = 'back' where id between 100 and 120`;
  await source`insert into link select g, 'link ' || g from generate_series(51, 100) as g`;
  await succeed(pair, ['up'], { root: project.root });
});

test('up --plan: refused when a file, the source or the ledger has moved on', async (context) => {
  const { pair, source, target, project } = context;
  const { root } = project;
  const write = async () => {
    const { stdout } = await succeed(pair, ['plan', '--out', FILE], { root });
    assert.match(stdout, `Approve: runner up --plan ${FILE}`);
  };
  const refused = async (why: RegExp) => {
    const before = await touches(target);
    const { code, stderr } = await runner(pair, ['up', '--plan', FILE], { root });
    assert.is(code, 1, stderr);
    assert.match(stderr, 'the plan is no longer what `up` would do; no row was changed');
    assert.match(stderr, why);
    assert.equal(await touches(target), before);
  };
  await source`update person set note = 'for the plan' where id = 40`;
  await write();
  project.edit(PEOPLE, (text) => text.replace('upper(t.note)', 'lower(t.note)'));
  await refused(/file sql\/1-people\/10_people\.sql has changed/);
  project.edit(PEOPLE, (text) => text.replace('lower(t.note)', 'upper(t.note)'));
  await source`update person set note = 'since' where id = 41`;
  await refused(/source table person has changed/);
  await write();
  await succeed(pair, ['up'], { root });
  await refused(/run \d+ was done since/);
  await source`update person set note = 'again' where id = 41`;
  await write();
  await succeed(pair, ['up', '--plan', FILE], { root });
  const [row] = await target`
    select note from public.people as p join ids.people as m on m.id = p.id where m.legacy_id = 41`;
  assert.is(row?.['note'], 'AGAIN');
  writeFileSync(FILE, '{}');
  const none = await runner(pair, ['up', '--plan', FILE], { root });
  assert.is(none.code, 1);
  assert.match(none.stderr, 'is no plan');
});

test('more than is read to know: at most, and said; --exact reads it', async (context) => {
  const { pair, source, project } = context;
  await source`insert into link select g, 'link ' || g from generate_series(1001, 111000) as g`;
  const plan = await planned(context);
  assert.is(plan.exact, false);
  const links = plan.entities.find(({ entity }) => entity === 'links');
  assert.ok(links !== undefined && links.at_most && links.new >= 110_000, JSON.stringify(links));
  const { stdout } = await succeed(pair, ['plan'], { root: project.root });
  assert.match(stdout, /≤ 11\d,\d{3}/);
  assert.match(stdout, 'only reading can tell');
  assert.match(stdout, /at most 11\d,\d{3} to insert/);
  const exact = await planned(context, '--exact');
  assert.is(exact.entities.find(({ entity }) => entity === 'links')?.new, 110_000);
  await source`delete from link where id > 1000`;
});

test('under GitHub Actions: the plan is in the summary, problems are beside their lines', async (context) => {
  const { pair, project } = context;
  const { root } = project;
  writeFileSync(FILE, '');
  const env = { GITHUB_ACTIONS: 'true', GITHUB_STEP_SUMMARY: FILE };
  const fine = await runner(pair, ['plan'], { root, env });
  assert.is(fine.code, 0);
  assert.match(readFileSync(FILE, 'utf8'), '### plan for ');
  project.edit(PEOPLE, (text) => text.replace('upper(t.note)', 't.nothing'));
  const wrong = await runner(pair, ['plan'], { root, env });
  assert.is(wrong.code, 1);
  assert.match(
    wrong.stderr,
    /^::error file=sql\/1-people\/10_people\.sql,line=\d+,col=\d+::.*nothing/m,
  );
  const outside = await runner(pair, ['plan'], { root });
  assert.not.match(outside.stderr + outside.stdout, '::error');
  project.edit(PEOPLE, (text) => text.replace('t.nothing', 'upper(t.note)'));
});

test.run();
