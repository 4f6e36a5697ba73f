import type { Problem } from '../../runner/engine/text.ts';
import { problemAtLine, type ViewFile } from './sql.ts';

/**
 * Problem: `runner scaffold` writes a line `-- undecided  …` for every column it knows no partner of. As long as
 * it stands there nobody has said what becomes of the column.
 * Fix: map the column, or list it in checks/coverage/left-out.txt with a reason; then delete the line.
 */
export function undecided(file: ViewFile): Problem[] {
  return file.text.split(/\r?\n/).flatMap((line, index) => {
    const [, before = '', what] = /^(\s*-- )undecided\s{2,}(.*?)\s*$/.exec(line) ?? [];
    if (what === undefined) return [];
    const fix =
      'map it, or leave it out with a reason (checks/coverage/left-out.txt); then delete the line';
    return [
      problemAtLine('undecided', file, index + 1, before.length + 1, `undecided: ${what}`, fix),
    ];
  });
}
