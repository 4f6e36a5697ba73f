import type { Problem } from '../../runner/engine/text.ts';
import { problemAtLine, type ViewFile } from './sql.ts';

/**
 * Problem: a tab is as wide as the reader's editor says; aligned columns fall apart.
 * Fix: use blanks. In a literal write E'\t'.
 */
export function tabs(file: ViewFile): Problem[] {
  return file.text.split('\n').flatMap((line, index) => {
    const column = line.indexOf('\t') + 1;
    return column === 0
      ? []
      : [problemAtLine('tabs', file, index + 1, column, 'a tab', 'use blanks')];
  });
}
