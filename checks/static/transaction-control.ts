import type { Problem } from '../../runner/engine/text.ts';
import { isComment, problem, startOf, tokensOf, type SqlFile } from './sql.ts';

const FIX = 'take it out: transactions and savepoints belong to the runner';
const OPENS = ['transaction', 'work', 'isolation', 'read', ';'];
// After these words (or a semicolon) PL/pgSQL begins a new statement.
const BEFORE = [';', 'begin', 'then', 'else', 'loop'];
const NAMES = [':=', '=', '.', '(', '['];
// A text without any of these needs no tokens; between BEGIN and its next word there may be a comment.
const MAY_CONTROL =
  /\b(commit|rollback|savepoint|release|abort|transaction|work|isolation)\b|\bbegin\s*(;|--|\/\*|read\b|$)/i;

/**
 * Problem: BEGIN, COMMIT, ROLLBACK, SAVEPOINT and the like end or split the runner's own transaction, so
 * that a phase no longer lands whole or leaves nothing. In the body of a function they fail at run time.
 * Fix: leave them out; raise an error to undo.
 */
export function transactionControl(sql: SqlFile): Problem[] {
  return sql.statements.flatMap((statement) => {
    const { stmt, stmt_location: from = 0, stmt_len: length = sql.bytes.length } = statement;
    if (stmt === undefined) return [];
    if ('TransactionStmt' in stmt) return [report(sql, startOf(sql, statement))];
    if (!('DoStmt' in stmt) && !('CreateFunctionStmt' in stmt)) return [];
    return sql.tokens
      .filter(
        ({ tokenName, start }) => isString(tokenName) && start >= from && start < from + length,
      )
      .flatMap(({ start, end }) => inBody(sql, start, end));
  });
}

function inBody(sql: SqlFile, start: number, end: number): Problem[] {
  const literal = sql.bytes.subarray(start, end).toString();
  const mark = /^(\$[^$]*\$|[eE]?')/.exec(literal)?.[0] ?? '';
  const inside = start + Buffer.byteLength(mark);
  const body = literal.slice(mark.length, -mark.length || undefined);
  if (!MAY_CONTROL.test(body)) return [];
  const tokens = tokensOf(body).filter((token) => !isComment(token));
  return tokens.flatMap((token, index) => {
    const [previous, next] = [tokens[index - 1], tokens[index + 1]].map((near) =>
      near?.text.toLowerCase(),
    );
    const dynamic = token.text.startsWith('$') || previous === 'execute';
    if (isString(token.tokenName)) {
      return dynamic ? inBody(sql, inside + token.start, inside + token.end) : [];
    }
    const starts = previous === undefined || BEFORE.includes(previous);
    return starts && controls(token.text.toLowerCase(), next)
      ? [report(sql, inside + token.start)]
      : [];
  });
}

function controls(word: string, next: string | undefined): boolean {
  if (next !== undefined && NAMES.includes(next)) return false;
  if (['commit', 'rollback', 'savepoint', 'release', 'abort'].includes(word)) return true;
  if (word === 'begin') return next === undefined || OPENS.includes(next);
  return (word === 'start' || word === 'prepare') && next === 'transaction';
}

function isString(tokenName: string): boolean {
  return tokenName === 'SCONST';
}

function report(sql: SqlFile, offset: number): Problem {
  return problem('transaction-control', sql, offset, 'transaction control', FIX);
}
