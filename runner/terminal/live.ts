import { columnsOf, isColoured } from './stream.ts';
import { cut, printable, widthOf } from './text.ts';

/* Lines at the end of standard error that move. Whatever else is printed goes above them. */

let shown: string[] = [];

/** Shows these lines in the place of those shown before; none = takes them away. */
export function live(lines: readonly string[]): void {
  const width = columnsOf('stderr');
  const next = lines.map((line) => cut(line, width));
  const text = next.map((line) => `${printable(line, isColoured('stderr'))}\n`).join('');
  const gone = erasing();
  if (gone + text !== '') process.stderr.write(gone + text);
  shown = next;
}

/** Takes the moving lines away before something is printed. */
export function clearLive(): void {
  if (shown.length > 0) live([]);
}

/** What takes the lines away: a terminal that was made narrower has broken them since. */
function erasing(): string {
  const width = Math.max(columnsOf('stderr'), 1);
  const rows = shown.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / width)), 0);
  return rows === 0 ? '' : `\r\u001b[${rows}A\u001b[J`;
}
