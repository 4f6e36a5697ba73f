// deadline 120
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Problem } from '../../runner/engine/text.ts';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import {
  changeSchema,
  type Dump,
  dumpCatalog,
  dumpRows,
  lastLine,
  neutralProject,
  open,
  runner,
  sameDump,
  type Scratch,
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
  context.pair = await testPair({ name: 'preflight', source: 'neutral', target: 'neutral' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await changeSchema(context.pair, NEUTRAL);
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

/** What can be wrong with the files of a project; the finding is where `mark` first stands. */
const EDITS: { file: string; from: string; to: string; mark: string; message: RegExp }[] = [
  {
    file: 'sql/2-customers/10_customers.sql',
    from: 'as spent,',
    to: 'as spend,',
    mark: 'as spend',
    message: /customers has no column spend/,
  },
  {
    file: 'sql/1-catalogue/30_films.sql',
    from: 'coalesce(activity.rentals, 0)         as rentals',
    to: "'many'                                as rentals",
    mark: 'as rentals',
    message: /rentals is text, films stores bigint/,
  },
  {
    file: 'sql/1-catalogue/10_languages.sql',
    from: ',\n  btrim(l.name) as name\n',
    to: '\n',
    mark: 'create view',
    message: /languages\.name is NOT NULL without a default and not supplied/,
  },
  {
    file: 'sql/1-catalogue/40_actors.sql',
    from: 'a.born  ',
    to: 'a.birth ',
    mark: 'a.birth',
    message: /column a\.birth does not exist/,
  },
  {
    file: 'sql/3-rentals/10_rentals.sql',
    from: 'r.rental_id   as legacy_key',
    to: 'r.rental_id::text as legacy_key',
    mark: 'legacy_key',
    message: /legacy_key is text, not bigint/,
  },
];

const BEFORE = 'checks/before/languages.sql';
/** What the mapping takes for granted of the source. */
const CHECK = `-- The first language is English.
--
-- severity  error

select
  l.language_id,
  'English'     as expected,
  btrim(l.name) as found
from legacy.language as l
where l.language_id = 1 and btrim(l.name) <> 'English';
`;

test('what does not fit is refused before anything is written, all at once, with its place', async ({
  pair,
  source,
  target,
  project,
}) => {
  for (const { file, from, to } of EDITS) project.edit(file, (text) => text.replace(from, to));
  mkdirSync(dirname(join(project.root, BEFORE)));
  writeFileSync(join(project.root, BEFORE), CHECK);
  // the source: a table that lacks a column, a key that is none, a language that is another one
  await source.unsafe(`
    alter table country rename column name to title;
    alter table film_actor drop constraint film_actor_pkey;
    update language set name = 'Anglais' where language_id = 1`);
  const before = await stateOf(target);
  const { code, stdout, stderr } = await runner(pair, ['up', '--json'], { root: project.root });
  await source.unsafe(`
    alter table country rename column title to name;
    alter table film_actor add primary key (film_id, actor_id);
    update language set name = 'English' where language_id = 1`);
  assert.is(code, 1, stderr);
  const { problems } = lastLine<{ problems: Problem[] }>({ code, stdout, stderr });
  const found = problems.map((p) => `${p.file}:${p.line}:${p.column} ${p.message}`);
  const expected = [
    ...EDITS.map((edit) => [`${placeOf(project, edit)} `, edit.message] as const),
    ['sql/1-catalogue/20_countries.sql:', /column c\.name does not exist/] as const,
    [
      'sql/1-catalogue/50_credits.sql:',
      /film_id, actor_id is not a unique key of the source table film_actor/,
    ] as const,
    [`${BEFORE}:1:1 `, /language_id=1 expected=English found=Anglais/] as const,
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
  assert.match(stderr, /sql\/1-catalogue\/40_actors\.sql:\d+:3\b.*\n {2} {2}a\.birth .*\n {4}\^/);
  assert.match(stderr, `${expected.length} problems found before the first write`);
  const after = await stateOf(target);
  for (const [i, dump] of after.entries()) sameDump(dump, before[i] ?? new Map());
  assert.equal(await written(target), []);
});

test('a table the source does not have is said as such', async ({ pair, source, project }) => {
  await source`alter table actor rename to actors`;
  const { code, stderr } = await runner(pair, ['up'], { root: project.root });
  await source`alter table actors rename to actor`;
  assert.is(code, 1);
  assert.match(stderr, /sql\/1-catalogue\/40_actors\.sql:\d+:\d+ .*"legacy\.actor"/);
});

const HOSTILE: Record<string, (text: string) => string> = {
  'a second statement': (text) => `${text}\nselect 1;\n`,
  'a commit after the view': (text) => `${text}\ncommit;\n`,
  'nothing but a commit': (text) => `${text.slice(0, text.indexOf('create view'))}commit;\n`,
  'nothing but a rollback': (text) => `${text.slice(0, text.indexOf('create view'))}rollback;\n`,
  'another view': (text) => text.replace('transform.languages', 'transform.groups'),
};

for (const [what, change] of Object.entries(HOSTILE)) {
  test(`a file that holds ${what} is refused, and has no effect`, async (context) => {
    const { pair, target, project } = context;
    // what another of these may have left
    await target`drop user mapping if exists for postgres server legacy_source`;
    project.edit('sql/1-catalogue/10_languages.sql', change);
    const { code, stderr } = await runner(pair, ['up'], { root: project.root });
    assert.is(code, 1, stderr);
    assert.match(stderr, /sql\/1-catalogue\/10_languages\.sql:\d+/);
    assert.equal(await written(target), []);
    const logins = await target`select from pg_user_mappings where srvname = 'legacy_source'`;
    assert.is(logins.length, 0, 'the login for the source is committed');
  });
}

test('after a migration too: the rows stay as they are', async ({ pair, target, project }) => {
  await succeed(pair, ['up', '1-catalogue'], { root: project.root });
  const before = await touches(target, ['public', 'ids']);
  project.edit('sql/1-catalogue/20_countries.sql', (text) =>
    text.replace('c.name                       as name,', "c.name || '' as nam,"),
  );
  const { code, stderr } = await runner(pair, ['up'], { root: project.root });
  assert.is(code, 1);
  assert.match(stderr, 'countries has no column nam');
  assert.match(stderr, 'no row was changed');
  sameDump(await touches(target, ['public', 'ids']), before);
});

/** All rows, and what the catalog says of both schemas. */
async function stateOf(target: Sql): Promise<Dump[]> {
  return [
    await dumpRows(target, { clock: true, root: NEUTRAL }),
    await dumpCatalog(target, 'public'),
    await dumpCatalog(target, 'billing'),
  ];
}

function placeOf({ root }: Scratch, { file, mark }: { file: string; mark: string }): string {
  const before = readFileSync(join(root, file), 'utf8').split(mark)[0]?.split('\n') ?? [];
  return `${file}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}

/** Tables that hold rows of the source. */
async function written(target: Sql): Promise<string[]> {
  const tables = await target<{ name: string }[]>`
    select c.oid::regclass::text as name from pg_class as c
    where c.relnamespace in (select n.oid from pg_namespace as n where n.nspname in
      ('ids', 'legacy_archive', 'public', 'billing')) and c.relkind = 'r'`;
  const filled: string[] = [];
  for (const { name } of tables) {
    const rows = await target.unsafe(`select from ${name} limit 1`);
    if (rows.length > 0) filled.push(name);
  }
  return filled;
}

test.run();
