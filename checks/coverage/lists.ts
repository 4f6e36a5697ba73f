import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Problem } from '../../runner/engine/text.ts';

export const SOURCE_LIST = 'checks/coverage/source-columns.txt';
export const TARGET_LIST = 'checks/coverage/target-tables.txt';
export const LEFT_OUT_LIST = 'checks/coverage/left-out.txt';

/** A line of a reviewed list; the place counts from 1. */
export interface Entry {
  /** `files.name`, `audit_log`, or in left-out.txt with its schema: `legacy.files.name`. */
  name: string;
  /** Empty except in left-out.txt. */
  reason: string;
  line: number;
  column: number;
}

/** A finding at an entry of a list. */
export function atEntry(file: string, at: Entry, message: string, fix: string): Problem {
  return { rule: 'coverage', file, line: at.line, column: at.column, message, fix };
}

/** The three reviewed lists. Lines that begin with # are comments. */
export interface Lists {
  /** Every column of the source, as `table.column`. */
  sourceColumns: Entry[];
  /** Every table of the target's schema public. */
  targetTables: Entry[];
  /** What is left out on purpose: `legacy.<table>.<column>`, `legacy.<table>` or `public.<table>`. */
  leftOut: Entry[];
}

/** Reads the lists of a project; one that is not there is empty. Throws only what the file system throws. */
export function readLists(root: string): Lists {
  return {
    sourceColumns: readSourceColumns(root),
    targetTables: linesOf(root, TARGET_LIST).map(({ text, line }) =>
      entry(text.trim(), line, text),
    ),
    leftOut: linesOf(root, LEFT_OUT_LIST).map(({ text, line }) => {
      const [name = '', ...reason] = text.trim().split(/\s{2,}/);
      return { ...entry(name, line, text), reason: reason.join(' ') };
    }),
  };
}

/** A table at the margin, its columns on the indented lines below. */
function readSourceColumns(root: string): Entry[] {
  let table = '';
  return linesOf(root, SOURCE_LIST).flatMap(({ text, line }) => {
    if (!/^\s/.test(text)) {
      table = text.trim();
      return [];
    }
    return [...text.matchAll(/\S+/g)].map((word) => ({
      name: `${table}.${word[0]}`,
      reason: '',
      line,
      column: word.index + 1,
    }));
  });
}

function linesOf(root: string, file: string): { text: string; line: number }[] {
  if (!existsSync(join(root, file))) return [];
  return readFileSync(join(root, file), 'utf8')
    .split(/\r?\n/)
    .map((text, index) => ({ text, line: index + 1 }))
    .filter(({ text }) => text.trim() !== '' && !text.startsWith('#'));
}

function entry(name: string, line: number, text: string): Entry {
  return { name, reason: '', line, column: text.search(/\S/) + 1 };
}
