import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { functionsHash, phaseOf, readCatalog } from '../../runner/engine/catalog.ts';
import { blanked, hashOf, positionAt } from '../../runner/engine/text.ts';

const MEMBERS = `-- Members: one per old_member.
-- A second line of the title.
--
-- The branch is looked up by its legacy id.
--
-- target     public.members
-- source     old_member
-- adopt      legacy_member_id, branch_id
-- deletes    remove
-- commit     batch
-- tolerance  1.1 %
-- read       whole
-- mapping    member
-- filter     no_guide    it has none
-- reject     orphan_user  its account is not stored
-- reject     no_name      it has no name

create view transform.members as
select p.id as legacy_key, 'from legacy.in_a_string' as note /* ids.in_a_comment */
from legacy.old_member as p -- legacy.in_a_comment
left join ids.branches as branch on branch.legacy_id = p.branch_id
left join legacy.account as u on u.id = p.user_id
left join ids.members as own on own.legacy_id = p.id;
`;
const PLAIN = (name: string) =>
  `-- Title.\n--\n-- target   public.${name}\n-- source   none\n-- adopt    none\n\nselect 1;\n`;

function withProject(files: Record<string, string>, use: (root: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), 'catalog-'));
  try {
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), text);
    }
    use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('an entity holds everything its file says', () => {
  withProject({ 'sql/2-core/30_members.sql': MEMBERS }, (root) => {
    const { phases, problems } = readCatalog(root);
    assert.equal(problems, []);
    assert.equal(phases, [
      {
        name: '2-core',
        entities: [
          {
            name: 'members',
            view: 'members',
            part: null,
            phase: '2-core',
            file: 'sql/2-core/30_members.sql',
            text: MEMBERS,
            hash: createHash('sha256').update(MEMBERS).digest('hex'),
            target: { schema: 'public', table: 'members' },
            source: 'old_member',
            key: ['id'],
            numbered: false,
            ownIds: false,
            adopt: ['legacy_member_id', 'branch_id'],
            deletes: 'remove',
            commitBatch: true,
            tolerance: 0.011,
            readWhole: true,
            mapping: 'member',
            reasons: [
              { kind: 'filter', name: 'no_guide', sentence: 'it has none' },
              { kind: 'reject', name: 'orphan_user', sentence: 'its account is not stored' },
              { kind: 'reject', name: 'no_name', sentence: 'it has no name' },
            ],
            reads: ['account', 'old_member'],
            idMaps: ['branches', 'members'],
          },
        ],
      },
    ]);
  });
});

test("what is the project's own: settings, columns to remove, functions of its views", () => {
  const settings = {
    sourceSchema: 'old',
    secrets: { accounts: ['password', 'token'] },
    functions: ['migration.clean_phone'],
    mappings: 'public.old_and_new',
  };
  const removal = [{ schema: 'public', table: 'people', column: 'fax' }];
  const engine = { 'sql/engine/20_functions.sql': 'a', 'sql/engine/90_private.sql': 'b' };
  const own = {
    'sql/settings.json': JSON.stringify(settings),
    'sql/functions.sql': 'c',
    'schema-changes/removal/columns.json': JSON.stringify(removal),
  };
  const hashes: string[] = [];
  withProject({ ...engine, ...own }, (root) => {
    const catalog = readCatalog(root, root);
    assert.equal(catalog.problems, []);
    const { sourceSchema, ...others } = settings;
    assert.equal(catalog.settings, { sourceSchemas: [sourceSchema], ...others });
    assert.equal(catalog.removal, removal);
    assert.equal(
      catalog.setup.map(({ text }) => text),
      ['a', 'c', 'b'],
    );
    hashes.push(functionsHash(catalog));
  });
  withProject(engine, (root) => {
    const catalog = readCatalog(root, root);
    assert.equal(catalog.problems, []);
    assert.equal(catalog.settings, {
      sourceSchemas: ['public'],
      secrets: {},
      functions: [],
      mappings: null,
    });
    assert.equal(catalog.removal, []);
    hashes.push(functionsHash(catalog));
  });
  assert.is.not(hashes[0], hashes[1]);
});

const ROWS = (name: string, header: string, key = 't.id') =>
  `-- Rows.\n--\n-- target  public.t\n${header}\n-- adopt  none\n\n` +
  `create view transform.${name} as\nselect ${key} as legacy_key from legacy.t as t;\n`;

test('a key of its own, ids of the source, parts', () => {
  const files = {
    'sql/1-a/10_films.sql': ROWS('films', '-- source  Film\n-- key  "').replace('"', 'FilmId'),
    'sql/1-a/20_credits.sql': ROWS(
      'credits',
      '-- source  credit\n-- key  film_id, actor_id\n-- id  source',
      'migration.key_number(row(t.film_id, t.actor_id))',
    ),
    'sql/1-a/30_phones.sql': ROWS('phones', '-- source  person\n-- part  kind  home, work'),
  };
  withProject(files, (root) => {
    const { phases, problems } = readCatalog(root);
    assert.equal(problems, []);
    assert.equal(
      phases.flatMap(({ entities }) =>
        entities.map((e) => [e.name, e.view, e.source, e.key, e.ownIds, e.readWhole, e.part]),
      ),
      [
        ['films', 'films', 'Film', ['FilmId'], false, false, null],
        ['credits', 'credits', 'credit', ['film_id', 'actor_id'], true, true, null],
        ...['home', 'work'].map((value) => [
          `phones_${value}`,
          'phones',
          'person',
          ['id'],
          false,
          false,
          { column: 'kind', value, all: ['home', 'work'] },
        ]),
      ],
    );
  });
});

test('two files that tell the rows of a table apart in two ways are a problem', () => {
  const files = {
    'sql/1-a/10_films.sql': ROWS('films', '-- source  film\n-- key  film_id'),
    'sql/1-a/20_titles.sql': ROWS('titles', '-- source  film'),
  };
  withProject(files, (root) => {
    assert.equal(
      readCatalog(root).problems.map(({ file, line, message }) => [file, line, message]),
      [
        [
          'sql/1-a/20_titles.sql',
          4,
          'the key of film is id here, and film_id in sql/1-a/10_films.sql',
        ],
      ],
    );
  });
});

test('what the header leaves out has its default', () => {
  withProject({ 'sql/1-first/10_a.sql': PLAIN('a') }, (root) => {
    const [entity] = readCatalog(root).phases[0]?.entities ?? [];
    assert.is(entity?.source, null);
    assert.equal(entity?.adopt, []);
    assert.is(entity?.deletes, 'keep');
    assert.is(entity?.commitBatch, false);
    assert.is(entity?.tolerance, null);
    assert.is(entity?.readWhole, false);
    assert.is(entity?.mapping, undefined);
    assert.equal(entity?.reasons, []);
    assert.equal(entity?.reads, []);
  });
});

test('phases, entities and setup files come in the order of their numbers', () => {
  const files = {
    'sql/2-b/20_d.sql': PLAIN('d'),
    'sql/2-b/10_c.sql': PLAIN('c'),
    'sql/1-a/90_b.sql': PLAIN('b'),
    'sql/engine/20_two.sql': 'select 2;',
    'sql/engine/10_one.sql': 'select 1;',
    'sql/archive/x.sql': '-- X: copied.\n--\n-- target  legacy_archive.x\n-- source  old_x\n',
  };
  withProject(files, (root) => {
    const { phases, setup, archive, problems } = readCatalog(root, root);
    assert.equal(problems, []);
    assert.equal(
      archive.map(({ name, source }) => [name, source]),
      [['legacy_archive.x', 'old_x']],
    );
    assert.equal(
      phases.flatMap(({ name, entities }) => entities.map((entity) => `${name} ${entity.name}`)),
      ['1-a b', '2-b c', '2-b d'],
    );
    assert.equal(setup, [
      { file: 'sql/engine/10_one.sql', text: 'select 1;', hash: hashOf('select 1;') },
      { file: 'sql/engine/20_two.sql', text: 'select 2;', hash: hashOf('select 2;') },
    ]);
    assert.is(phaseOf(phases, '2'), phases[1]);
    assert.is(phaseOf(phases, 'b'), phases[1]);
    assert.is(phaseOf(phases, '2-b'), phases[1]);
    assert.is(phaseOf(phases, ''), undefined);
  });
});

test('an entity with a broken header is left out, the others stay', () => {
  const files = { 'sql/1-a/10_a.sql': 'select 1;\n', 'sql/1-a/20_b.sql': PLAIN('b') };
  withProject(files, (root) => {
    const { phases, problems } = readCatalog(root);
    assert.equal(
      phases[0]?.entities.map(({ name }) => name),
      ['b'],
    );
    assert.equal(
      problems.map(({ rule, file }) => `${file} ${rule}`),
      ['sql/1-a/10_a.sql header'],
    );
  });
});

test('without a folder sql there is one problem and nothing else', () => {
  withProject({}, (root) => {
    const { phases, archive, problems } = readCatalog(root);
    assert.equal([phases, archive], [[], []]);
    assert.equal(
      problems.map(({ rule }) => rule),
      ['layout'],
    );
  });
});

test('Windows line ends change neither header nor hash', () => {
  const files = { 'sql/2-core/30_members.sql': MEMBERS.replaceAll('\n', '\r\n') };
  withProject(files, (root) => {
    const { phases, problems } = readCatalog(root);
    assert.equal(problems, []);
    assert.is(phases[0]?.entities[0]?.hash, hashOf(MEMBERS));
  });
});

test('comments and literals are blanked, names and places stay', () => {
  const same = (sql: string, expected: string) => assert.is(blanked(sql), expected);
  same("a -- 'b\nc", 'a      \nc');
  same("a 'b''c' d", 'a        d');
  same("a 'b -- c' d", 'a          d');
  same("a e'b\\'c' d", 'a         d');
  same("a 'b\\' c", 'a      c');
  same('a /* b /* c */ d */ e', 'a                   e');
  same("a $x$ b $y$ ' $x$ c", 'a                 c');
  same('a "b\'c" d', 'a "b\'c" d');
  same("a 'b\nc' d", 'a   \n   d');
  same('a /* open', 'a        ');
  same('a$b$c', 'a$b$c');
});

test('an offset becomes line and column, both from one', () => {
  assert.equal(positionAt('ab\ncd', 0), { line: 1, column: 1 });
  assert.equal(positionAt('ab\ncd', 2), { line: 1, column: 3 });
  assert.equal(positionAt('ab\ncd', 4), { line: 2, column: 2 });
});

test.run();
