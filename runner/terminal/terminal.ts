import kleur from 'kleur';

import type { Problem } from '../engine/text.ts';
import { readTerminal } from '../config.ts';
import type { Progress } from '../engine/phase.ts';
import { numberText } from './columns.ts';
import { annotations } from './github.ts';
import { grouped } from './grouped.ts';

const settings = readTerminal();
kleur.enabled = settings.color && process.stdout.isTTY;
const live = process.stderr.isTTY && !settings.ci;

const ESCAPE = '\u001b';
/** Stands for the escape of our own colours: half a character, which no text of a server holds. */
const OURS = '\ud800';

/** What a terminal obeys instead of showing it: all control characters but tab and line break. */
const CONTROLS = /[^\P{Cc}\t\n]/gu;

/** A text with a sign in the place of every control character. */
function harmless(text: string): string {
  return text.replace(CONTROLS, (c) => {
    const code = c.charCodeAt(0);
    // the signs Unicode has for them: ␛ for escape
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? '\u2421' : '\ufffd';
  });
}

/** The same for a value, which must not begin a line of its own. */
export function oneLine(text: string): string {
  return harmless(text).replaceAll('\n', '\u240a');
}

function printable(line: string): string {
  // alone: as a part of a character it is text
  return harmless(line).replace(/\ud800/gu, ESCAPE);
}

/** A line on standard output. */
export function say(line = ''): void {
  clearLive();
  process.stdout.write(`${printable(line)}\n`);
}

/** A line on standard error: progress and remarks, so that --json stays clean. */
export function note(line: string): void {
  clearLive();
  process.stderr.write(`${printable(line)}\n`);
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
  note([words.bad(first), ...rest].join('\n'));
}

/** Words with a meaning of their own. */
export const words = {
  good: (text: string) => painted(kleur.green, text),
  bad: (text: string) => painted(kleur.red, text),
  dim: (text: string) => painted(kleur.dim, text),
  strong: (text: string) => painted(kleur.bold, text),
};

function painted(colour: (text: string) => string, text: string): string {
  return colour(harmless(text)).replaceAll(ESCAPE, OURS);
}

/** A table: text columns left, numbers right; numbers with thousands separators. */
export function table(head: string[], rows: (string | number | null)[][]): void {
  const cells = rows.map((row) => row.map(show));
  const widths = head.map((title, i) =>
    Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)),
  );
  const numeric = head.map((_, i) => rows.some((row) => typeof row[i] === 'number'));
  const line = (row: string[]) =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  say(words.dim(line(head)));
  for (const row of cells) say(line(row));
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
    else if (more > 0)
      note(`  and ${numberText(more)} more like it ${words.dim(`[${like.rule}]`)}`);
  }
  if (unshown > 0) note(`and ${numberText(unshown)} of other causes`);
  if (found.length > 20 && !all) note(`${numberText(found.length)} in all; --all shows every one`);
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

/** Progress of entities: one line that moves on a terminal, a line per entity elsewhere. */
export function progressOf(): (progress: Progress) => void {
  let began = Date.now();
  let current = '';
  let printed = Date.now();
  return (progress) => {
    if (progress.entity !== current) {
      current = progress.entity;
      began = Date.now();
    }
    if (progress.state === 'done' && progress.counts !== undefined) {
      const { inserted, updated, rejected } = progress.counts;
      const changes = [
        inserted > 0 ? `${show(inserted)} inserted` : '',
        updated > 0 ? `${show(updated)} updated` : '',
        rejected > 0 ? `${show(rejected)} rejected` : '',
      ].filter((text) => text !== '');
      note(
        `${words.good('✓')} ${progress.phase} ${progress.entity}  ` +
          (changes.length === 0 ? 'unchanged' : changes.join(', ')) +
          words.dim(`  ${(progress.seconds ?? 0).toFixed(1)} s`),
      );
      return;
    }
    if (progress.total === 0) return;
    const seconds = (Date.now() - began) / 1000;
    const rate = seconds > 0.5 ? progress.done / seconds : 0;
    const eta = rate > 0 ? ` · ${((progress.total - progress.done) / rate).toFixed(0)} s left` : '';
    const text =
      `  ${progress.phase} ${progress.entity}  ${show(progress.done)} of ${show(progress.total)} rows` +
      (rate > 0 ? ` · ${show(Math.round(rate))}/s${eta}` : '');
    if (live) {
      process.stderr.write(`\r\u001b[2K${text}`);
      moving = true;
    } else if (Date.now() - printed > 10_000 && progress.state === 'working') {
      printed = Date.now();
      note(text);
    }
  };
}

let moving = false;

function clearLive(): void {
  if (!moving) return;
  moving = false;
  process.stderr.write('\r\u001b[2K');
}

function show(value: string | number | null): string {
  if (value === null) return '';
  return typeof value === 'number' ? value.toLocaleString('en-US') : oneLine(value);
}
