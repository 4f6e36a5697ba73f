/* A report as a document: sections of blocks. What is said and in which order stands once, for HTML and Markdown. */

export type Tone = 'good' | 'bad' | 'warn';

/** A cell: text, a number (shown with thousands), code, or text with a tone. */
export type Cell =
  string | number | null | { code: string } | { tone: Tone; text: string } | { number: string };

/** A graph of tables and entities, from left to right. */
export interface Graph {
  nodes: { id: string; label: string; kind: 'source' | 'entity' | 'map' | 'target' }[];
  edges: { from: string; to: string; label: string }[];
}

/** What a section consists of. */
export type Block =
  | { kind: 'text'; text: string; tone?: Tone }
  | { kind: 'facts'; rows: [string, Cell][] }
  | { kind: 'list'; items: string[] }
  | {
      kind: 'table';
      caption: string;
      /** `right`: a column of numbers; `tight`: a column whose cells are not broken. */
      columns: { title: string; right?: boolean; tight?: boolean }[];
      /** The first cell names the row. */
      rows: Cell[][];
      total?: Cell[];
    }
  | { kind: 'code'; caption: string; text: string }
  | { kind: 'bar'; caption: string; parts: { name: string; rows: number; tone: Tone }[] }
  | {
      kind: 'timeline';
      caption: string;
      /** Seconds. */
      rows: { name: string; began: number; seconds: number; said: string }[];
      seconds: number;
    }
  | { kind: 'graph'; caption: string; graph: Graph }
  /** Closed on the screen; on paper it is there where it says so. */
  | { kind: 'more'; summary: string; printed?: boolean; blocks: Block[] }
  | { kind: 'signatures'; lines: string[]; hash: string };

export interface Section {
  id: string;
  title: string;
  blocks: Block[];
}

export interface Document {
  title: string;
  /** Under the title: from where to where. */
  subtitle: string;
  verdict: { tone: Tone; text: string };
  sections: Section[];
}

/** A number as a person reads it. */
export function shown(value: number): string {
  return value.toLocaleString('en-US');
}

/** A share as a percentage that says neither 0 nor 100 where it is not: `99.98 %`, `< 0.01 %`. */
export function percent(share: number): string {
  if (share > 0 && share < 0.0001) return '< 0.01 %';
  const text = (Math.floor(share * 10000) / 100).toFixed(2);
  return `${text} %`;
}

/** `1 row`, `2 rows`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${shown(count)} ${count === 1 ? one : many}`;
}

/** Seconds as a person says them. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A time of the server, which speaks UTC, to the second. */
export function moment(time: string): string {
  return `${time.slice(0, 19)} UTC`;
}

/** The text of a cell. */
export function textOf(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return shown(cell);
  if (typeof cell === 'string') return cell;
  if ('code' in cell) return cell.code;
  return 'text' in cell ? cell.text : cell.number;
}

/** Legacy keys, and that there are more. */
export function keysOf(keys: number[], count: number): string {
  return keys.join(', ') + (count > keys.length ? ' …' : '');
}

/** The statement that asks for the numbers of a section. */
export function sqlOf(text: string): Block {
  return { kind: 'code', caption: 'These numbers, in the target database', text };
}
