/* `runner cases` of a project anywhere: its folders of rows, and what is found in them. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { entityFile, lastLine, runner } from '../runner.ts';

interface Said {
  cases: { case: string; findings: string[] }[];
  withoutCase: string[];
}

const FILES: Record<string, string> = {
  'sql/1-first/10_books.sql': entityFile('books', 'book', ['t.title as title']),
  'sql/1-first/20_pages.sql': entityFile(
    'pages',
    'page',
    [
      'b.id as book_id',
      `case when t.book_id is not null and b.id is null then 'books' end as missing`,
    ],
    { joins: ['left join ids.books as b on b.legacy_id = t.book_id'] },
  ),
  'checks/untitled.sql':
    '-- Every book has a title.\n--\n-- severity  error\n\n' +
    `select b.id from public.books as b where b.title = '';\n`,
  'test/sample/source.sql': `
create table book (id integer primary key, title text);
create table page (id integer primary key, book_id integer);
`,
  'test/sample/target.sql': `
create table books (id uuid primary key, title text);
create table pages (id uuid primary key, book_id uuid references books);
alter table books enable row level security;
alter table pages enable row level security;
`,
  'test/cases/common.sql': `insert into book values (1, 'one');\n`,
  'test/cases/books/source.sql': `insert into book values (2, 'two');\n`,
  'test/cases/books/expected.json': JSON.stringify({
    rows: { 1: { title: 'one' }, 2: { title: 'two' } },
  }),
  'test/cases/pages/source.sql': 'insert into page values (5, 1), (6, 9);\n',
  'test/cases/pages/expected.json': JSON.stringify({
    rows: { 5: { book_id: 'books:1' }, 6: { book_id: null } },
    missing: { 6: 'books' },
  }),
};

const root = mkdtempSync(join(tmpdir(), 'cases-'));

function write(files: Record<string, string>): void {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
}

const cases = (...args: string[]) => runner(null, ['cases', ...args, '--project', root]);

test.before(() => write(FILES));

test.after(() => rmSync(root, { recursive: true }));

test('rows become what is expected: a line per case, exit 0, and no server is left', async () => {
  const { code, stdout, stderr } = await cases();
  assert.is(code, 0, stdout + stderr);
  assert.equal(stdout.split('\n'), ['ok  books', 'ok  pages', '2 cases, 0 not as expected', '']);
  assert.equal(readdirSync(join(root, '.embedded')), []);
});

test('what is not as expected is found, where it is and what it is; so is what a check finds', async () => {
  write({
    'test/cases/books/source.sql': `insert into book values (2, 'zwei'), (3, 'three');\n`,
    'test/cases/books-untitled/source.sql': `insert into book values (2, '');\n`,
    'test/cases/books-untitled/expected.json': '{}',
    'test/cases/books-wrong/source.sql': 'insert into nothing values (1);\n',
    'test/cases/books-wrong/expected.json': '{}',
    'test/cases/strangers/source.sql': '',
  });
  const ended = await cases('--json');
  assert.is(ended.code, 1, ended.stderr);
  const { cases: played, withoutCase } = lastLine<Said>(ended);
  assert.equal(withoutCase, []);
  const findings = Object.fromEntries(played.map((each) => [each.case, each.findings]));
  assert.equal(findings['pages'], []);
  assert.equal(findings['strangers'], ['test/cases/strangers is the case of no entity']);
  assert.match(findings['books-untitled']?.join() ?? '', /checks\/untitled\.sql  id=/);
  assert.match(findings['books-wrong']?.join() ?? '', 'relation "nothing" does not exist');
  assert.equal(findings['books'], [
    '2  title\n    expected  "two"\n    actual    "zwei"',
    '3  row\n    expected  nothing\n    actual    a row',
  ]);
});

test('one is played by the name of its entity; a name of none is a wrong call', async () => {
  const ended = await cases('pages', '--json');
  assert.is(ended.code, 0, ended.stderr);
  assert.equal(lastLine<Said>(ended).cases, [{ case: 'pages', findings: [] }]);
  const { code, stderr } = await cases('page');
  assert.is(code, 2);
  assert.match(stderr, 'there is no case page');
});

test.run();
