import type { Problem } from '../../runner/engine/text.ts';
import { problemAtLine, type ViewFile } from './sql.ts';

/**
 * Problem: without a newline at its end the last line changes in every diff that adds one.
 * Fix: end the file with exactly one newline.
 */
export function finalNewline(file: ViewFile): Problem[] {
  if (/[^\n\r]\r?\n$/.test(file.text)) return [];
  const lines = file.text.split('\n');
  const column = (lines.at(-1) ?? '').length + 1;
  const fix = 'end the file with exactly one newline';
  return [
    problemAtLine('final-newline', file, lines.length, column, 'not one newline at the end', fix),
  ];
}
