import type { Problem } from '../../runner/engine/text.ts';
import { all } from '../../runner/engine/grammar.ts';
import { problem, problemAtLine, startOf, type SqlFile } from './sql.ts';

/**
 * Problem: a data check is one query that returns the offending rows; without a title nobody knows what a
 * hit means, without a severity the runner does not know whether to stop.
 * Fix: begin with a sentence and a line `-- severity  error` (or warning), then write one select.
 */
export function dataCheck(sql: SqlFile): Problem[] {
  const problems: Problem[] = [];
  const lines = sql.text.split(/\r?\n/);
  const after = lines.findIndex((line) => !line.startsWith('--'));
  const header = lines.slice(0, after === -1 ? lines.length : after);
  const severities = header.flatMap((line, index) => {
    const value = /^-- severity\s{2,}(.*?)\s*$/.exec(line)?.[1];
    return value === undefined ? [] : [{ value, line: index + 1 }];
  });
  const report = (line: number, message: string, fix: string) =>
    problems.push(problemAtLine('data-check', sql, line, 1, message, fix));

  if (!/^-- [^\s]+ [^\s]/.test(header[0] ?? '')) {
    report(
      1,
      'the check has no title',
      'begin with a sentence that says what a row in the result means',
    );
  }
  const [severity] = severities;
  if (severity === undefined || severities.length > 1) {
    report(1, 'the header needs one severity', 'add a line `-- severity  error` or `warning`');
  } else if (!['error', 'warning'].includes(severity.value)) {
    report(severity.line, `unknown severity ${severity.value}`, 'write `error` or `warning`');
  }

  if (sql.failure !== null) return problems;
  const [first, second] = sql.statements;
  const fix = 'write exactly one select that returns the offending rows';
  if (first === undefined) report(1, 'the check holds no statement', fix);
  else if (first.stmt === undefined || !isRead(first.stmt)) {
    problems.push(problem('data-check', sql, startOf(sql, first), 'not a plain select', fix));
  }
  if (second !== undefined) {
    problems.push(problem('data-check', sql, startOf(sql, second), 'a second statement', fix));
  }
  return problems;
}

function isRead(stmt: object): boolean {
  const writes = (['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'] as const).some(
    (kind) => all({ stmt }, kind).length > 0,
  );
  const into = all({ stmt }, 'SelectStmt').some((select) => select.intoClause !== undefined);
  return 'SelectStmt' in stmt && !writes && !into;
}
