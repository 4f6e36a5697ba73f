import type { Problem } from '../../runner/engine/text.ts';
import { outputs, problemAtLine, type ViewFile } from './sql.ts';

/**
 * Problem: `adopt` names a column that the view does not have: rows that are there already could not be
 * recognised and would be written twice.
 * Fix: name output columns of the view, or `none`.
 */
export function adoptColumns(file: ViewFile): Problem[] {
  if (file.spine.length === 0) return [];
  const names = outputs(file.spine[0]).map(({ name }) => name);
  const lines = file.text.split('\n');
  const index = lines.findIndex((line) => /^-- adopt\s/.test(line));
  return (file.entity?.adopt ?? [])
    .filter((column) => !names.includes(column))
    .map((column) => {
      const place =
        new RegExp(`(?<=[\\s,])${column}(?=[\\s,]|$)`).exec(lines[index] ?? '')?.index ?? 0;
      const message = `adopt names ${column}, which is no column of the view`;
      const fix = 'name output columns of the view, or `none`';
      return problemAtLine('adopt-columns', file, index + 1, place + 1, message, fix);
    });
}
