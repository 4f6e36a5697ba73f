/* What is rendered is what runs: the text of every kind of entity, and what the renderer refuses. */
import { readFileSync } from 'node:fs';
import { loadModule, parsePlPgSQLSync, parseSync } from 'libpg-query';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/catalog.ts';
import { render, type Shape } from '../../runner/render.ts';
import { goldenFile, goldenTexts, KINDS, recordedShapes } from '../golden.ts';
import { ROOT } from '../runner.ts';

test.before(loadModule);

for (const [kind, text] of Object.entries(goldenTexts())) {
  test(`${kind}: as in its golden file`, () => {
    const golden = readFileSync(goldenFile(kind), 'utf8');
    const [expected, found] = [golden, text].map((each) => each.split('\n'));
    const line = found?.findIndex((each, index) => each !== expected?.[index]) ?? -1;
    assert.is(
      text === golden ? '' : `line ${line + 1}: ${found?.[line] ?? 'fewer lines'}`,
      '',
      'look at the change; if it is meant, `npm run golden`',
    );
  });

  test(`${kind}: the grammar reads it, the bodies of its functions too`, () => {
    const bodies = statementsOf(text).filter(isPlPgSql);
    assert.ok(bodies.length > 0);
    for (const body of bodies) assert.not.throws(() => parsePlPgSQLSync(body), body.slice(0, 80));
  });
}

test('each kind is what it is called', () => {
  const shapes = recordedShapes();
  const entities = readCatalog(ROOT).phases.flatMap((phase) => phase.entities);
  const of = (kind: string) => entities.find(({ name }) => name === KINDS[kind]);
  assert.equal(of('plain')?.adopt, []);
  assert.ok(shapes[KINDS['filtered'] ?? '']?.has.filter);
  assert.ok((of('adopting')?.adopt.length ?? 0) > 0);
  assert.ok(of('self-referring')?.idMaps.includes(of('self-referring')?.name ?? ''));
  assert.ok(of('by-range')?.commitBatch);
  assert.is(of('removing')?.deletes, 'remove');
  assert.is(of('constant')?.source, null);
});

test('an unknown placeholder is refused', () => {
  for (const word of ['entitty', 'columns of', 'columns of a b', 'constructor', ' entity', '']) {
    assert.throws(() => render(`select {{${word}}}`, shape()), /unknown placeholder/, word);
  }
  assert.throws(() => render('{{ids', shape()), /braces/);
});

test('an unknown condition is refused', () => {
  for (const flag of ['adopts', 'toString', 'not adopt', '']) {
    const line = `-- if ${flag}`.trimEnd();
    assert.throws(() => render(`${line}\n-- end if`, shape()), /line 1: unknown condition/, flag);
  }
});

test('conditions that do not pair are refused', () => {
  assert.throws(() => render('-- if source\nselect 1', shape()), /`-- if` without `-- end if`/);
  assert.throws(
    () => render('-- if source\n-- end if\n  -- end if', shape()),
    /line 3: `-- end if` without `-- if`/,
  );
});

test('lines are there for entities of that kind only', () => {
  const template =
    '-- if source\na\n-- if filter\nb\n-- end if\nc\n-- end if\n-- if none\nd\n-- end if';
  assert.is(render(template, shape()), 'a\nc');
  assert.is(
    render(template, shape({ has: { filter: true, missing: false, reject: false } })),
    'a\nb\nc',
  );
});

test('names that need quotes have them', () => {
  const odd = shape({ columns: ['on', 'Name', 'a"b', "it's", 'a b'].map(textColumn) });
  const quoted = ['"on"', '"Name"', '"a""b"', `"it's"`, '"a b"'];
  assert.is(render('{{columns}}', odd), quoted.join(', '));
  assert.is(render('{{columns of t}}', odd), quoted.map((name) => `t.${name}`).join(', '));
  assert.is(render('{{set from b}}', odd), quoted.map((name) => `${name} = b.${name}`).join(', '));
  for (const text of ['hash of t', 'differs t b']) {
    assert.not.throws(() => parseSync(`select ${render(`{{${text}}}`, odd)} from t, b`), text);
  }
  assert.not.throws(() => parseSync(`create table t (${render('{{types}}', odd)} x text)`));
});

test('a name that would end the body of a function is refused', () => {
  const odd = shape({ columns: [textColumn('a$$b')] });
  assert.throws(() => render('{{columns}}', odd), /holds \$\$/);
});

test.run();

function statementsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  return (parseSync(text).stmts ?? []).map(({ stmt_location: from = 0, stmt_len: length }) =>
    bytes.subarray(from, length === undefined ? undefined : from + length).toString(),
  );
}

function isPlPgSql(statement: string): boolean {
  return /\blanguage plpgsql\b/.test(statement);
}

function textColumn(name: string) {
  return { name, type: 'text', native: true };
}

/** The shape of an entity with one text column, and what is said of it. */
function shape(change: Partial<Shape> = {}): Shape {
  const [entity] = readCatalog(ROOT).phases.flatMap((phase) => phase.entities);
  assert.ok(entity);
  return {
    entity,
    columns: [textColumn('name')],
    has: { filter: false, missing: false, reject: false },
    rewrites: false,
    createdAt: false,
    uniqueKeys: [],
    siblings: [entity.name],
    width: 1000,
    ...change,
  };
}
