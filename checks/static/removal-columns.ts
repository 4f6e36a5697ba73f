import type { Problem } from '../../runner/engine/text.ts';
import type { RemovedColumn } from '../../runner/engine/settings.ts';
import { all } from '../../runner/engine/grammar.ts';
import { offsetOf, problem, type SqlFile } from './sql.ts';

const FOLDER = 'schema-changes/removal/';

/**
 * Problem: a file of the column removal drops a column that is not in columns.json: it would be neither
 * backed up nor looked after; or a column of the list is dropped by no file.
 * Fix: let both name the same columns.
 */
export function removalColumns(
  files: readonly SqlFile[],
  removal: readonly RemovedColumn[],
): Problem[] {
  const listed = new Set(removal.map(nameOf));
  const dropped = files
    .filter(({ file }) => file.startsWith(FOLDER))
    .flatMap((file) => dropsOf(file).map((drop) => ({ file, ...drop })));
  const fix = 'name the same columns in the files and in columns.json';
  return [
    ...dropped
      .filter(({ name }) => !listed.has(name))
      .map(({ file, name, offset }) =>
        problem('removal-columns', file, offset, `${name} is not in columns.json`, fix),
      ),
    ...[...listed]
      .filter((name) => !dropped.some((drop) => drop.name === name))
      .map((name) => ({
        rule: 'removal-columns',
        file: `${FOLDER}columns.json`,
        line: 1,
        column: 1,
        message: `no file drops ${name}`,
        fix,
      })),
  ];
}

function dropsOf({ statements }: SqlFile): { name: string; offset: number }[] {
  return all({ statements }, 'AlterTableStmt').flatMap(({ relation, cmds }) =>
    all({ cmds }, 'AlterTableCmd')
      .filter(({ subtype }) => subtype === 'AT_DropColumn')
      .map(({ name = '' }) => ({
        name: nameOf({
          schema: relation?.schemaname ?? 'public',
          table: relation?.relname ?? '',
          column: name,
        }),
        offset: offsetOf({ relation }),
      })),
  );
}

function nameOf({ schema, table, column }: RemovedColumn): string {
  return `${schema}.${table}.${column}`;
}
