import type { Problem } from '../../runner/engine/text.ts';
import { all } from '../../runner/engine/grammar.ts';
import { problem, type ViewFile } from './sql.ts';

/**
 * Problem: `*` is expanded when the view is created: a column that the source gains or loses changes the
 * mapping without a change of the file.
 * Fix: name the columns, in sub-selects too. count(*) is fine.
 */
export function noStar(file: ViewFile): Problem[] {
  return all(file.statements, 'ColumnRef')
    .filter((column) => column.fields?.some((field) => 'A_Star' in field) === true)
    .map((column) =>
      problem('no-star', file, column.location ?? 0, '`*` hides the columns', 'name the columns'),
    );
}
