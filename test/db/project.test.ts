/* A project directory anywhere: --project, what is the engine's, what is the project's, and what is none. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readChecks } from '../../runner/engine/checks.ts';
import { dropPair } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import {
  type Databases,
  entityFile,
  lastLine,
  open,
  ROOT,
  runner,
  startRunner,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  root: string;
}

const FILES = {
  'sql/1-first/10_books.sql': entityFile('books', 'book', ['t.title as title']),
  'checks/untitled.sql':
    '-- Every book has a title.\n--\n-- severity  error\n\n' +
    `select b.id from public.books as b where b.title = '';\n`,
  'checks/before/books.sql':
    '-- There are books.\n--\n-- severity  error\n\n' +
    'select 1 where not exists (select from legacy.book as b);\n',
  '.env': 'JOBS=1\n',
};

const test = suite<Context>('project');

test.before(async (context) => {
  const pair = await testPair({ name: 'project', source: 'empty' });
  Object.assign(context, {
    pair,
    source: open(pair.sourceAdminUrl),
    target: open(pair.targetAdminUrl),
    root: project(FILES),
  });
  await context.source.unsafe(`
    create table public.book (id integer primary key, title text);
    grant select on public.book to legacy_reader;
    insert into public.book values (1, 'one'), (2, 'two')`);
  await context.target.unsafe(`
    create table public.books (id uuid primary key, title text);
    alter table public.books owner to postgres`);
});

test.after(async (context) => {
  rmSync(context.root, { recursive: true });
  await dropPair(context);
});

/** A folder with these files and nothing else. */
function project(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'project-'));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  return root;
}

/** The runner of this repository, called in its root. */
const run = (urls: Databases | null, ...args: string[]) => runner(urls, args);

test('three files are a project, wherever they are: up, check, verify, status', async ({
  pair,
  root,
  target,
}) => {
  const up = await run(pair, 'up', '--project', root, '--json');
  assert.is(up.code, 0, up.stdout + up.stderr);
  assert.equal(
    lastLine(up).entities.map(({ entity, inserted }) => [entity, inserted]),
    [['books', 2]],
  );
  const rows = await target`select title from public.books order by 1`;
  assert.equal([...rows], [{ title: 'one' }, { title: 'two' }]);
  const checked = await run(pair, '--project', root, 'check', '--json');
  const { checks } = lastLine<{ checks: { name: string; findings: number }[] }>(checked);
  assert.ok(checks.every(({ findings }) => findings === 0));
  assert.equal(
    checks.map(({ name }) => name).toSorted(),
    readChecks(root, 'checks')
      .map(({ name }) => name)
      .toSorted(),
  );
  for (const name of ['untitled', 'balance', 'id_maps', 'private_schemas']) {
    assert.ok(
      checks.some((each) => each.name === name),
      name,
    );
  }
  for (const args of [['verify'], ['status', '--exit-code'], ['up']]) {
    const { code, stdout, stderr } = await run(pair, ...args, '--project', root);
    assert.is(code, 0, `${args.join(' ')}: ${stdout}${stderr}`);
  }
});

test('its check finds what is wrong; files are named as the project has them', async ({
  pair,
  root,
  target,
}) => {
  await target`update public.books set title = '' where title = 'two'`;
  const { code, stdout } = await run(pair, 'check', 'untitled', '--project', root);
  assert.is(code, 1);
  assert.match(stdout, /FOUND {2}untitled/);
  await target`update public.books set title = 'two' where title = ''`;
  writeFileSync(join(root, 'sql/1-first/20_broken.sql'), 'select\n');
  const broken = await run(null, 'check', '--static', '--project', root);
  rmSync(join(root, 'sql/1-first/20_broken.sql'));
  assert.is(broken.code, 1);
  assert.match(broken.stdout + broken.stderr, /^sql\/1-first\/20_broken\.sql:1:1/m);
});

test('a check of the project takes the place of the one of the engine', ({ root }) => {
  const own = project({
    ...FILES,
    'checks/gone.sql': '-- Nothing is gone.\n\nselect 1 limit 0;\n',
  });
  const titles = (place: string) =>
    readChecks(place, 'checks')
      .filter(({ name }) => name === 'gone')
      .map(({ file }) => file);
  assert.equal(titles(root), ['checks/engine/gone.sql']);
  assert.equal(titles(own), ['checks/gone.sql']);
  rmSync(own, { recursive: true });
});

test('settings come from its .env, the report has the files of both', async ({ pair, root }) => {
  writeFileSync(
    join(root, '.env'),
    `SOURCE_DATABASE_URL=${pair.sourceUrl}\nTARGET_DATABASE_URL=${pair.targetUrl}\n`,
  );
  const page = join(root, 'report.json');
  const args = ['report', page, '--json', '--project', root];
  const urls = { SOURCE_DATABASE_URL: undefined, TARGET_DATABASE_URL: undefined };
  const made = await startRunner(null, args, { env: urls as unknown as Record<string, string> })
    .ended;
  assert.is(made.code, 0, made.stderr);
  const facts = JSON.parse(readFileSync(page, 'utf8')) as {
    files: { file: string; hash: string }[];
  };
  const names = facts.files.map(({ file }) => file);
  for (const file of [
    'sql/1-first/10_books.sql',
    'checks/untitled.sql',
    'sql/engine/10_ledger.sql',
  ]) {
    assert.ok(names.includes(file), file);
  }
  assert.is(new Set(names).size, names.length);
  assert.not(names.some((name) => name.startsWith('sql/1-foundation')));
});

test('a directory that is no project: what is missing, and how to make one', async () => {
  const root = project({ 'README.md': '' });
  for (const command of ['up', 'status', 'check', 'embedded', 'report']) {
    const { code, stdout, stderr } = await run(null, command, '--project', root);
    assert.is(code, 2, command);
    assert.is(stdout, '');
    assert.match(stderr, /^\S+ is no project directory: it has no sql\/ with settings\.json/);
    assert.match(stderr, 'runner init');
  }
  const nowhere = await run(null, 'up', '--json', '--project', join(root, 'nowhere'));
  assert.is(lastLine<{ exit: number }>(nowhere).exit, 2);
  // what needs none
  assert.is((await run(null, 'help', 'up', '--project', root)).code, 0);
  assert.is((await run(null, 'completion', 'bash', '--project', root)).code, 0);
  rmSync(root, { recursive: true });
});

test('a copy of the engine in a project is refused: it would not be the one that runs', async () => {
  const root = project({ ...FILES, 'sql/engine/10_old.sql': 'select 1;\n' });
  const { code, stdout, stderr } = await run(null, 'check', '--static', '--project', root);
  assert.is(code, 1);
  assert.match(stdout + stderr, /sql\/engine .*is not a phase/);
  rmSync(root, { recursive: true });
});

test('--embedded of a project without a sample says which files to write', async ({ root }) => {
  const { code, stdout, stderr } = await run(null, 'up', '--embedded', '--project', root);
  assert.is(code, 2);
  assert.is(stdout, '');
  assert.match(stderr, 'test/sample/source.sql and test/sample/target.sql not found');
});

test('--embedded fills the pair with the sample of the project', async () => {
  const root = project({
    ...FILES,
    'test/sample/source.sql': 'create table book (id integer primary key, title text);\n',
    'test/sample/rows/10_books.sql': `insert into book values (7, 'seven');\n`,
    'test/sample/target.sql':
      'create table public.books (id uuid primary key, title text);\n' +
      'alter table public.books enable row level security;\n',
  });
  const up = await run(null, 'up', '--embedded', '--json', '--project', root);
  assert.is(up.code, 0, up.stdout + up.stderr);
  assert.equal(
    lastLine(up).entities.map(({ entity, inserted }) => [entity, inserted]),
    [['books', 1]],
  );
  rmSync(root, { recursive: true });
});

test('this repository is a project: the default in its folder', async () => {
  const { code, stdout } = await run(null, 'check', 'coverage', '--static');
  assert.is(code, 0);
  const named = await run(null, 'check', 'coverage', '--static', '--project', ROOT);
  assert.is(named.stdout, stdout);
});

test.run();
