import type { Problem } from '../../runner/engine/text.ts';
import { all } from '../../runner/engine/grammar.ts';
import { isComment, problem, tokensOf, type SqlFile } from './sql.ts';

const FIX = 'leave `parallel` out: a function is unsafe where nothing is said';

/**
 * Problem: a function with an exception block opens a subtransaction, which releases before 17 refuse in a
 * parallel plan, in the leader as in the workers. Declared parallel safe (or restricted) it fails as soon as
 * a table is large enough for such a plan.
 * Fix: leave it parallel unsafe.
 */
export function parallelUnsafe(sql: SqlFile): Problem[] {
  return all(sql.statements, 'CreateFunctionStmt').flatMap(({ options }) => {
    const elements = all({ options }, 'DefElem');
    const parallel = elements.find(({ defname }) => defname === 'parallel');
    const body = elements.find(({ defname }) => defname === 'as');
    if (parallel === undefined || stringsOf(parallel).includes('unsafe')) return [];
    if (!stringsOf(body).some(catches)) return [];
    const message = 'a function with an exception block is not parallel safe';
    return [problem('parallel-unsafe', sql, parallel.location ?? 0, message, FIX)];
  });
}

function catches(body: string): boolean {
  const tokens = tokensOf(body).filter((token) => !isComment(token));
  return tokens.some(
    ({ text }, index) => isWord(text, 'exception') && isWord(tokens[index + 1]?.text, 'when'),
  );
}

function isWord(text: string | undefined, word: string): boolean {
  return text?.toLowerCase() === word;
}

function stringsOf(tree: unknown): string[] {
  return all({ tree }, 'String').map(({ sval }) => sval ?? '');
}
