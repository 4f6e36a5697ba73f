import type { Problem } from '../../runner/engine/text.ts';
import { problemAtLine, type ViewFile } from './sql.ts';

const LINES = 150;

/**
 * Problem: a mapping of 150 lines or more is not read as one thing.
 * Fix: move what cleans a value into a function of sql/engine, or split the entity.
 */
export function longFile(file: ViewFile): Problem[] {
  const lines = file.text.replace(/\n$/, '').split('\n').length;
  if (lines < LINES) return [];
  const fix = 'move helpers into sql/engine, or split the entity';
  return [problemAtLine('long-file', file, LINES, 1, `the file has ${lines} lines`, fix)];
}
