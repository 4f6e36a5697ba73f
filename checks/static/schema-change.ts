import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Problem } from '../../runner/engine/text.ts';
import {
  inspectSchemaChange,
  readFolder,
  readProtectedColumns,
  type ProtectedColumn,
} from '../../runner/schema/files.ts';
import { SchemaChangeError } from '../../runner/schema/error.ts';

/** `parses` and `transaction-control` look at these files too, and closer. */
const TWICE = new Set(['schema-syntax', 'schema-transaction']);

/**
 * Problem: a schema change that cannot be run as agreed (its name, its two sections, CASCADE) or that
 * takes a protected column away; `runner schema` refuses it before it touches the database.
 * Fix: as each finding says.
 */
export async function schemaChange(root: string): Promise<Problem[]> {
  if (!existsSync(join(root, 'schema-changes'))) return [];
  const files = [...readFolder(root, 'additive'), ...readFolder(root, 'removal')];
  const problems: Problem[] = [];
  let columns: ProtectedColumn[] = [];
  try {
    columns = await readProtectedColumns(root);
  } catch (error) {
    if (!(error instanceof SchemaChangeError)) throw error;
    problems.push({
      rule: 'schema-protected',
      file: 'schema-changes/protected.json',
      line: 1,
      column: 1,
      message: 'missing, or not a list of {schema, table, column}',
      fix: 'name the columns that no schema change may take away; [] for none',
    });
  }
  for (const { file, text } of files) {
    problems.push(...(await inspectSchemaChange(file, text, columns)));
  }
  return problems.filter(({ rule }) => !TWICE.has(rule));
}
