import type { Problem } from '../../runner/engine/text.ts';
import { problemAtLine, type ViewFile } from './sql.ts';

const LONGEST = 100;

/**
 * Problem: a line over 100 columns cannot be reviewed side by side.
 * Fix: break it.
 */
export function longLine(file: ViewFile): Problem[] {
  return file.text.split(/\r?\n/).flatMap((line, index) => {
    if (line.length <= LONGEST) return [];
    const message = `the line has ${line.length} columns`;
    return [
      problemAtLine('long-line', file, index + 1, LONGEST + 1, message, `break it at ${LONGEST}`),
    ];
  });
}
