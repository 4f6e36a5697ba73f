import { parse } from 'libpg-query';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { literal, quoted } from '../../runner/quote.ts';

const HARD = [
  'plain',
  '',
  "o'clock",
  "''",
  'back\\slash',
  "\\'; drop table x; --",
  '"double"',
  'line\nbreak\ttab',
  '$1 $$ $q$',
  'ü 漢 😀',
];

interface Parsed {
  stmts: { stmt: { SelectStmt: { targetList: { ResTarget: Target }[] } } }[];
}

interface Target {
  name?: string;
  val: { A_Const?: { sval: { sval?: string } } };
}

/** The only column of the only statement, as the grammar of PostgreSQL reads it. */
async function column(text: string): Promise<Target> {
  const { stmts } = (await parse(text)) as Parsed;
  assert.is(stmts.length, 1, text);
  const [target] = stmts[0]?.stmt.SelectStmt.targetList ?? [];
  assert.ok(target, text);
  return target.ResTarget;
}

for (const text of HARD) {
  test(`a literal is the text again: ${JSON.stringify(text)}`, async () => {
    const { val } = await column(`select ${literal(text)}`);
    assert.is(val.A_Const?.sval.sval ?? '', text);
  });

  if (text === '') continue;
  test(`a name is the text again: ${JSON.stringify(text)}`, async () => {
    assert.is((await column(`select 1 as ${quoted(text)}`)).name, text);
  });
}

test('names and literals as a person would write them', () => {
  assert.is(quoted('films'), '"films"');
  assert.is(quoted('a"b'), '"a""b"');
  assert.is(literal("o'clock"), "'o''clock'");
  assert.is(literal('a\\b'), "E'a\\\\b'");
});

test.run();
