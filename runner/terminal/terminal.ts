import type { Problem } from '../engine/text.ts';
import { annotations } from './github.ts';
import { grouped } from './grouped.ts';
import { clearLive } from './live.ts';
import { isColoured, isMoving, roomOf, type Stream } from './stream.ts';
import { type Cell, tableLines } from './table.ts';
import {
  CONTROLS,
  number,
  oneLine as inOneLine,
  painted as inColour,
  printable,
  wrap,
} from './text.ts';

/** A line on standard output. */
export function say(line = ''): void {
  print('stdout', line);
}

/** A line on standard error: progress and remarks, so that --json stays clean. */
export function note(line: string): void {
  print('stderr', line);
}

/** Sentences on standard output, broken between words where there is a terminal to be as wide as. */
export function sayWrapped(text: string, paint = (line: string) => line): void {
  for (const line of wrapped('stdout', text)) say(paint(line));
}

/** The same on standard error. */
export function noteWrapped(text: string, paint = (line: string) => line): void {
  for (const line of wrapped('stderr', text)) note(paint(line));
}

/** A file or a pipe keeps every sentence in one line. */
function wrapped(stream: Stream, text: string): string[] {
  return wrap(text, roomOf(stream));
}

function print(stream: Stream, line: string): void {
  clearLive();
  process[stream].write(`${printable(line, isColoured(stream))}\n`);
}

/** A value as one line of JSON on standard output. */
export function sayJson(value: unknown): void {
  clearLive();
  // JSON leaves those above the first 32 as they are
  const text = JSON.stringify(value).replace(CONTROLS, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  process.stdout.write(`${text}\n`);
}

/** A failure: first line in red, the rest as it is. */
export function complain(message: string): void {
  const [first = '', ...rest] = message.split('\n');
  noteWrapped(first, words.bad);
  for (const line of rest) noteWrapped(line);
}

/** Before a screen is shown again: at a terminal it is shown in the place of the last one. */
export function clearScreen(): void {
  if (isMoving('stdout')) process.stdout.write('\u001b[H\u001b[2J');
}

/** A value in a line: it must not begin one of its own. */
export function oneLine(text: string): string {
  return inOneLine(text);
}

/** Words with a meaning of their own. */
export const words = {
  good: (text: string) => inColour([32, 39], text),
  bad: (text: string) => inColour([31, 39], text),
  dim: (text: string) => inColour([2, 22], text),
  strong: (text: string) => inColour([1, 22], text),
};

/**
 * A table: texts left, numbers right; not wider than the terminal. Columns in which there is nothing, or zeros only, are
 * not printed, nor, where there is no room, those named in `drop`.
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  drop: readonly string[] = [],
): void {
  const [titles = '', ...lines] = tableLines(head, rows, roomOf('stdout'), drop);
  say(words.dim(titles));
  for (const line of lines) say(line);
}

/**
 * Findings with their place, the line itself where it is known, and what to do. Not `all`: more
 * than a screen of them are shown by their causes, of each a few.
 */
export function problems(
  found: readonly Problem[],
  textOf: (file: string) => string | undefined,
  all = true,
) {
  let unshown = 0;
  for (const { shown, more } of grouped(found, all)) {
    for (const problem of shown) showProblem(problem, textOf(problem.file));
    const [like] = shown;
    if (like === undefined) unshown += more;
    else if (more > 0) note(`  and ${number(more)} more like it ${words.dim(`[${like.rule}]`)}`);
  }
  if (unshown > 0) note(`and ${number(unshown)} of other causes`);
  if (found.length > 20 && !all) note(`${number(found.length)} in all; --all shows every one`);
  for (const line of annotations(found)) note(line);
}

function showProblem(
  { file, line, column, message, fix, rule }: Problem,
  text: string | undefined,
): void {
  note(`${words.strong(`${file}:${line}:${column}`)}  ${message} ${words.dim(`[${rule}]`)}`);
  const source = text?.split('\n')[line - 1];
  if (source !== undefined && source.trim() !== '') {
    note(`  ${source}`);
    note(`  ${' '.repeat(Math.max(column - 1, 0))}${words.bad('^')}`);
  }
  note(`  fix: ${fix}`);
}
