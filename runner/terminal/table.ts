import { number, oneLine, padded, widthOf, wrap } from './text.ts';

/** A cell: text, a number (to the right, with separators), or nothing. */
export type Cell = string | number | null;

/** Cells below which a column of text is not made narrower. */
const NARROW = 8;

/**
 * The lines of a table of at most so many cells, the head first. Columns in which there is nothing, or zeros only,
 * are left out; then, where it is too wide, those named in `drop`, one after the other, and at last
 * texts are wrapped inside their column.
 */
export function tableLines(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  width: number,
  drop: readonly string[] = [],
): string[] {
  let columns = head
    .map((title, index) => columnOf(title, index, rows))
    .filter(({ empty }) => !empty);
  for (const title of drop) {
    if (total(columns) <= width) break;
    columns = columns.filter((column) => column.title !== title);
  }
  shrink(columns, width);
  const lines = (cells: string[][]) => {
    const height = Math.max(1, ...cells.map((cell) => cell.length));
    return Array.from({ length: height }, (_, line) =>
      columns
        .map(({ wide, numeric }, i) => padded(cells[i]?.[line] ?? '', wide, numeric))
        .join('  ')
        .trimEnd(),
    );
  };
  const titles = columns.map(({ title, wide, numeric }) =>
    numeric ? [title] : wrap(title, Math.max(wide, 1)),
  );
  return [
    lines(titles).join('\n'),
    ...rows.map((_, row) =>
      lines(columns.map(({ cells, wide }) => wrap(cells[row] ?? '', Math.max(wide, 1)))).join('\n'),
    ),
  ];
}

interface Column {
  title: string;
  cells: string[];
  wide: number;
  numeric: boolean;
  /** Nothing stands in it, or zeros only. */
  empty: boolean;
}

function columnOf(title: string, index: number, rows: readonly (readonly Cell[])[]): Column {
  const values = rows.map((row) => row[index] ?? null);
  const cells = values.map(show);
  const numeric = values.some((value) => typeof value === 'number');
  return {
    title,
    cells,
    wide: Math.max(widthOf(title), ...cells.map(widthOf)),
    numeric,
    empty:
      values.length > 0 && values.every((value) => value === 0 || value === null || value === ''),
  };
}

function total(columns: Column[]): number {
  return columns.reduce((sum, { wide }) => sum + wide, 2 * (columns.length - 1));
}

/** Takes what is too wide from the widest column of text, cell by cell. */
function shrink(columns: Column[], width: number): void {
  for (const column of columns) if (!column.numeric) column.wide = Math.min(column.wide, width);
  for (let excess = total(columns) - width; excess > 0; excess -= 1) {
    const [widest] = columns
      .filter(({ numeric, wide }) => !numeric && wide > NARROW)
      .toSorted((a, b) => b.wide - a.wide);
    if (widest === undefined) return;
    widest.wide -= 1;
  }
}

function show(value: Cell): string {
  if (value === null) return '';
  if (typeof value === 'string') return oneLine(value);
  // what is there stands out
  return value === 0 ? '·' : number(value);
}
