import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Finding } from './finding.ts';

export const SOURCE_LIST = 'checks/coverage/source-columns.txt';
export const TARGET_LIST = 'checks/coverage/target-tables.txt';
export const LEFT_OUT_LIST = 'checks/coverage/left-out.txt';

/** A line of a reviewed list; the place counts from 1. */
export interface Entry {
  /** `files.name`, `public.audit_log`; in left-out.txt as it stands there. */
  name: string;
  /** Empty except in left-out.txt. */
  reason: string;
  line: number;
  column: number;
}

/** A finding at an entry of a list. */
export function atEntry(file: string, at: Entry, message: string, fix: string): Finding {
  return { rule: 'coverage', file, line: at.line, column: at.column, message, fix };
}

/** The same of a column, `table.column`; `many` is what is said of several. */
export function atColumn(
  file: string,
  at: Entry,
  many: string,
  message: string,
  fix: string,
): Finding {
  const dot = at.name.indexOf('.');
  const of = { table: at.name.slice(0, dot), column: at.name.slice(dot + 1), many };
  return { ...atEntry(file, at, message, fix), of };
}

/** The three reviewed lists. Lines that begin with # are comments. */
export interface Lists {
  /** Every column of the source, as `table.column`. */
  sourceColumns: Entry[];
  /** Every table of the target's schemas, as `schema.table`; one that stands without a schema is of `public`. */
  targetTables: Entry[];
  /** What is left out on purpose; left-out.ts reads the names. */
  leftOut: Entry[];
}

/** Reads the lists of a project; one that is not there is empty. Throws only what the file system throws. */
export function readLists(root: string): Lists {
  return {
    sourceColumns: readSourceColumns(root),
    targetTables: linesOf(root, TARGET_LIST).map(({ text, line }) => {
      const name = text.trim();
      return entry(name.includes('.') ? name : `public.${name}`, line, text);
    }),
    leftOut: linesOf(root, LEFT_OUT_LIST).map(({ text, line }) => {
      const [name = '', ...reason] = text.trim().split(/\s{2,}/);
      return { ...entry(name, line, text), reason: reason.join(' ') };
    }),
  };
}

/** What the databases have: columns in the order of their table, as `table.column`; tables, `schema.table`. */
export interface Names {
  sourceColumns: readonly { table: string; column: string }[];
  targetTables: readonly string[];
}

/** A list that was written, and what is new in it and what is gone. */
export interface Written {
  file: string;
  added: string[];
  removed: string[];
}

/** Writes both lists anew; comments at their beginning stay. */
export function writeLists(root: string, names: Names): Written[] {
  const before = readLists(root);
  const old = new Map(
    [SOURCE_LIST, TARGET_LIST]
      .filter((file) => existsSync(join(root, file)))
      .map((file) => [file, readFileSync(join(root, file), 'utf8')] as const),
  );
  for (const [file, text] of listFiles(names, old)) writeFileSync(join(root, file), text);
  const columns = names.sourceColumns.map(({ table, column }) => `${table}.${column}`);
  return [
    changed(SOURCE_LIST, before.sourceColumns, columns),
    changed(TARGET_LIST, before.targetTables, names.targetTables),
  ];
}

/** The texts of both lists, sorted by table, below the comments that the `old` ones begin with. */
export function listFiles(
  { sourceColumns, targetTables }: Names,
  old: ReadonlyMap<string, string>,
): Map<string, string> {
  const tables = new Map<string, string[]>();
  for (const { table, column } of sourceColumns) {
    tables.set(table, [...(tables.get(table) ?? []), column]);
  }
  const lines = [...tables]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([table, columns]) => [table, ...wrapped(columns)]);
  const text = (file: string, own: readonly string[]) => {
    const comment = /^(#[^\n]*\n|\s*\n)*/.exec(old.get(file) ?? '')?.[0] ?? '';
    return [file, `${comment}${own.map((line) => `${line}\n`).join('')}`] as const;
  };
  return new Map([text(SOURCE_LIST, lines), text(TARGET_LIST, targetTables.toSorted())]);
}

function changed(file: string, before: readonly Entry[], names: readonly string[]): Written {
  const known = new Set(before.map(({ name }) => name));
  const there = new Set(names);
  return {
    file,
    added: names.filter((name) => !known.has(name)).toSorted(),
    removed: [...known].filter((name) => !there.has(name)).toSorted(),
  };
}

/** Indented lines of at most 88 columns. */
function wrapped(names: readonly string[]): string[] {
  const lines: string[] = [];
  for (const name of names.map((each) => (/\s/.test(each) ? `"${each}"` : each))) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + name.length > 88) lines.push(`  ${name}`);
    else lines[lines.length - 1] = `${last} ${name}`;
  }
  return lines;
}

/** A table at the margin, its columns on the indented lines below; a name with blanks in double quotes. */
function readSourceColumns(root: string): Entry[] {
  let table = '';
  return linesOf(root, SOURCE_LIST).flatMap(({ text, line }) => {
    if (!/^\s/.test(text)) {
      table = text.trim();
      return [];
    }
    return [...text.matchAll(/"([^"]+)"|\S+/g)].map((word) => ({
      name: `${table}.${word[1] ?? word[0]}`,
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
