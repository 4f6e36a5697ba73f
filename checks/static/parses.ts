import type { Problem } from '../../runner/engine/text.ts';
import { problem, type SqlFile } from './sql.ts';

/**
 * Problem: the file is not SQL that PostgreSQL can read; it would fail at the moment it is needed.
 * Fix: correct it at the place shown (the grammar is PostgreSQL's own).
 */
export function parses(sql: SqlFile): Problem[] {
  if (sql.failure === null) return [];
  const { offset, message } = sql.failure;
  return [problem('parses', sql, offset, message, 'correct the statement')];
}
