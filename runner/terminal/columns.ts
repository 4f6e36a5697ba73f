import type { Cell } from './table.ts';
import { number, padded, widthOf } from './text.ts';

/** A table before it is laid out. */
export interface Table {
  head: string[];
  rows: Cell[][];
}

/** The lines of a table: names in its first column to the left, all others to the right. */
export function columns({ head, rows }: Table): string[] {
  const cells = [head, ...rows].map((row) => row.map(shown));
  const widths = head.map((_, i) => Math.max(...cells.map((row) => widthOf(row[i] ?? ''))));
  return cells.map((row) =>
    row
      .map((cell, i) => padded(cell, widths[i] ?? 0, i > 0))
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

function shown(cell: Cell): string {
  if (cell === null) return '';
  return typeof cell === 'number' ? number(cell) : cell;
}
