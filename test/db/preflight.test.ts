// deadline 240
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Problem } from '../../runner/engine/text.ts';
import { testPair, type TestPair } from '../pair.ts';
import {
  changeSchema,
  dumpCatalog,
  dumpRows,
  lastLine,
  open,
  runner,
  sameDump,
  type Scratch,
  scratch,
  succeed,
  touches,
} from '../runner.ts';

/* Files and sources that do not fit are refused before the first write: all findings at once. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('preflight');

test.before(async (context) => {
  context.pair = await testPair({ name: 'preflight', source: 'sample' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await changeSchema(context.pair);
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

/** What can be wrong with the files of a project; the finding is where `mark` first stands. */
const EDITS: { file: string; from: string; to: string; mark: string; message: RegExp }[] = [
  {
    file: 'sql/1-foundation/10_offices.sql',
    from: 'as zip_code,',
    to: 'as zipcode,',
    mark: 'as zipcode',
    message: /offices has no column zipcode/,
  },
  {
    file: 'sql/1-foundation/40_teams.sql',
    from: 'true          as is_active',
    to: "'yes'         as is_active",
    mark: 'as is_active',
    message: /is_active is text, teams stores boolean/,
  },
  {
    file: 'sql/1-foundation/60_categories.sql',
    from: '  btrim(c.name) as name,\n',
    to: '',
    mark: 'create view',
    message: /categories\.name is NOT NULL without a default and not supplied/,
  },
  {
    file: 'sql/2-core/20_patients.sql',
    from: 'p.schemes  ',
    to: 'p.schemas  ',
    mark: 'p.schemas',
    message: /column p\.schemas does not exist/,
  },
  {
    file: 'sql/3-operations/60_tasks.sql',
    from: 't.id                     as legacy_key',
    to: 't.id::text               as legacy_key',
    mark: 'legacy_key',
    message: /legacy_key is text, not bigint/,
  },
];

test('what does not fit is refused before anything is written, all at once, with its place', async ({
  pair,
  source,
  target,
  project,
}) => {
  for (const { file, from, to } of EDITS) project.edit(file, (text) => text.replace(from, to));
  // the source: a table that lacks a column, a key that is none, a group that is another one
  await source.unsafe(`
    alter table dispatch_course rename column name to title;
    alter table dispatch_template drop constraint dispatch_template_pkey cascade;
    update auth_group set name = 'Dentist' where id = 2`);
  const before = { rows: await dumpRows(target, { clock: true }), all: await dumpCatalog(target) };
  const { code, stdout, stderr } = await runner(pair, ['up', '--json'], { root: project.root });
  await source.unsafe(`
    alter table dispatch_course rename column title to name;
    alter table dispatch_template add primary key (id);
    update auth_group set name = 'Doctor' where id = 2`);
  assert.is(code, 1, stderr);
  const { problems } = lastLine<{ problems: Problem[] }>({ code, stdout, stderr });
  const found = problems.map((p) => `${p.file}:${p.line}:${p.column} ${p.message}`);
  const expected = [
    ...EDITS.map((edit) => [`${placeOf(project, edit)} `, edit.message] as const),
    ['sql/1-foundation/50_courses.sql:', /column c\.name does not exist/] as const,
    [
      'sql/2-core/40_templates.sql:',
      /id is not a unique key of the source table dispatch_template/,
    ] as const,
    ['checks/before/groups.sql:1:1 ', /group_id=2 expected=doctor found=Dentist/] as const,
  ];
  for (const [place, message] of expected) {
    assert.ok(
      found.some((line) => line.startsWith(place) && message.test(line)),
      `${place} ${String(message)} is not among\n${found.join('\n')}`,
    );
  }
  // each once: no finding that follows from another
  assert.is(found.length, expected.length, found.join('\n'));
  // a person sees the line and the place in it
  assert.match(stderr, /sql\/2-core\/20_patients\.sql:\d+:3\b.*\n {2} {2}p\.schemas .*\n {4}\^/);
  assert.match(stderr, `${expected.length} problems found before the first write`);
  sameDump(await dumpRows(target, { clock: true }), before.rows);
  sameDump(await dumpCatalog(target), before.all);
  assert.equal(await written(target), []);
});

test('a table the source does not have is said as such', async ({ pair, source, project }) => {
  await source`alter table dispatch_course rename to dispatch_courses`;
  const { code, stderr } = await runner(pair, ['up'], { root: project.root });
  await source`alter table dispatch_courses rename to dispatch_course`;
  assert.is(code, 1);
  assert.match(stderr, /sql\/1-foundation\/50_courses\.sql:\d+:\d+ .*"legacy\.dispatch_course"/);
});

const HOSTILE: Record<string, (text: string) => string> = {
  'a second statement': (text) => `${text}\nselect 1;\n`,
  'a commit after the view': (text) => `${text}\ncommit;\n`,
  'nothing but a commit': (text) => `${text.slice(0, text.indexOf('create view'))}commit;\n`,
  'nothing but a rollback': (text) => `${text.slice(0, text.indexOf('create view'))}rollback;\n`,
  'another view': (text) => text.replace('transform.teams', 'transform.groups'),
};

for (const [what, change] of Object.entries(HOSTILE)) {
  test(`a file that holds ${what} is refused, and has no effect`, async (context) => {
    const { pair, target, project } = context;
    // what another of these may have left
    await target`drop user mapping if exists for postgres server legacy_source`;
    project.edit('sql/1-foundation/40_teams.sql', change);
    const { code, stderr } = await runner(pair, ['up'], { root: project.root });
    assert.is(code, 1, stderr);
    assert.match(stderr, /sql\/1-foundation\/40_teams\.sql:\d+/);
    assert.equal(await written(target), []);
    const logins = await target`select from pg_user_mappings where srvname = 'legacy_source'`;
    assert.is(logins.length, 0, 'the login for the source is committed');
  });
}

test('after a migration too: the rows stay as they are', async ({ pair, target, project }) => {
  await succeed(pair, ['up', '1-foundation'], { root: project.root });
  const before = await touches(target, ['public', 'ids']);
  project.edit('sql/1-foundation/60_categories.sql', (text) =>
    text.replace('btrim(c.name) as name,', "c.id || '' as nam,"),
  );
  const { code, stderr } = await runner(pair, ['up'], { root: project.root });
  assert.is(code, 1);
  assert.match(stderr, 'categories has no column nam');
  assert.match(stderr, 'no row was changed');
  sameDump(await touches(target, ['public', 'ids']), before);
});

function placeOf({ root }: Scratch, { file, mark }: { file: string; mark: string }): string {
  const before = readFileSync(join(root, file), 'utf8').split(mark)[0]?.split('\n') ?? [];
  return `${file}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}

/** Tables that hold rows of the source. */
async function written(target: Sql): Promise<string[]> {
  const tables = await target<{ name: string }[]>`
    select c.oid::regclass::text as name from pg_class as c
    where c.relnamespace in (select n.oid from pg_namespace as n where n.nspname in
      ('ids', 'legacy_archive', 'public')) and c.relkind = 'r'`;
  const filled: string[] = [];
  for (const { name } of tables) {
    const rows = await target.unsafe(`select from ${name} limit 1`);
    if (rows.length > 0) filled.push(name);
  }
  return filled;
}

test.run();
