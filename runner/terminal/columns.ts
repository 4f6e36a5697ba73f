/** What stands in a table; null is nothing. */
export type Cell = string | number | null;

/** A table before it is laid out. */
export interface Table {
  head: string[];
  rows: Cell[][];
}

/** The lines of a table: names in its first column to the left, all others to the right. */
export function columns({ head, rows }: Table): string[] {
  const cells = [head, ...rows].map((row) => row.map(shown));
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  return cells.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** The same as Markdown. */
export function markdownTable({ head, rows }: Table): string {
  const line = (cells: Cell[]) =>
    `| ${cells.map((cell) => shown(cell).replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  const rule = `| ${head.map((_, i) => (i === 0 ? '---' : '---:')).join(' | ')} |`;
  return ['', line(head), rule, ...rows.map(line), ''].join('\n');
}

/** A number with thousands separators. */
export function numberText(value: number): string {
  return value.toLocaleString('en-US');
}

function shown(cell: Cell): string {
  if (cell === null) return '';
  return typeof cell === 'number' ? numberText(cell) : cell;
}

/** A text in lines of at most so many characters; a longer word has a line of its own. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length + 1 > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
