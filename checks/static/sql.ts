import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  hasSqlDetails,
  scanSync,
  type Node,
  type RawStmt,
  type ScanToken,
  type SelectStmt,
  type ViewStmt,
} from 'libpg-query';
import { type Entity } from '../../runner/engine/entity-file.ts';
import { positionAt, type Problem } from '../../runner/engine/text.ts';
import {
  isObject,
  loadGrammar,
  selectOf,
  spineOf,
  statementsOf,
  targetsOf,
  viewOf,
} from '../../runner/engine/grammar.ts';

/** An SQL file read with the grammar of PostgreSQL. All offsets of the grammar are UTF-8 bytes. */
export interface SqlFile {
  /** Relative to the project root, forward slashes. */
  file: string;
  text: string;
  bytes: Buffer;
  /** Comments included; empty if the file cannot be cut into tokens. */
  tokens: ScanToken[];
  /** Empty if the file does not parse. */
  statements: RawStmt[];
  /** Why it does not parse, and where (byte offset). */
  failure: { message: string; offset: number } | null;
}

/** An entity file. `entity` is missing if its header is unusable, `view` if it defines no view. */
export interface ViewFile extends SqlFile {
  name: string;
  /** Names of the entities it defines: its own, or those of its parts. */
  defines: string[];
  entity: Entity | undefined;
  view: ViewStmt | undefined;
  /**
   * The selects that decide which rows the view has: the view's own one and, as long as the first thing in
   * FROM is a sub-select or a CTE, that one. Empty without a view.
   */
  spine: SelectStmt[];
}

// The parser ends at a NUL and the scanner fails on the others: whatever follows would not be checked.
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** Reads and parses a file. Throws only what the file system throws. */
export async function readSql(root: string, file: string): Promise<SqlFile> {
  await loadGrammar();
  const text = readFileSync(join(root, file), 'utf8');
  const sql = { file, text, bytes: Buffer.from(text), tokens: tokensOf(text), failure: null };
  const stray = text.search(CONTROL);
  if (stray !== -1) {
    const failure = {
      message: 'a control character',
      offset: Buffer.byteLength(text.slice(0, stray)),
    };
    return { ...sql, statements: [], failure };
  }
  try {
    return { ...sql, statements: statementsOf(text) };
  } catch (error) {
    if (!hasSqlDetails(error)) throw error;
    // The one position that is counted in characters, not in bytes.
    const characters = Math.max(error.sqlDetails?.cursorPosition ?? 0, 0);
    const offset = Buffer.byteLength(Array.from(text).slice(0, characters).join(''));
    return { ...sql, statements: [], failure: { message: error.message, offset } };
  }
}

/** Adds what the rules over entity files need to a file that was read. */
export function viewFile(sql: SqlFile, name: string, entity: Entity | undefined): ViewFile {
  const view = viewOf(sql.statements);
  const select = selectOf(view?.query);
  const defines = entity?.part?.all.map((value) => `${name}_${value}`) ?? [name];
  return {
    ...sql,
    name,
    defines,
    entity,
    view,
    spine: select === undefined ? [] : spineOf(select),
  };
}

/** The tokens of a text, comments included; none if it cannot be cut into tokens. */
export function tokensOf(text: string): ScanToken[] {
  try {
    return scanSync(text).tokens ?? [];
  } catch {
    return [];
  }
}

/** A finding at a byte offset of a file. */
export function problem(
  rule: string,
  sql: SqlFile,
  offset: number,
  message: string,
  fix: string,
): Problem {
  const before = sql.bytes.subarray(0, Math.max(offset, 0)).toString();
  return { rule, file: sql.file, ...positionAt(sql.text, before.length), message, fix };
}

/** A finding at a whole line (from 1) of a file. */
export function problemAtLine(
  rule: string,
  sql: SqlFile,
  line: number,
  column: number,
  message: string,
  fix: string,
): Problem {
  return { rule, file: sql.file, line, column, message, fix };
}

/** Byte offset of the first thing below `tree` that has a place in the text; 0 if nothing has. */
export function offsetOf(tree: unknown): number {
  const offsets: number[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (isObject(value)) {
      for (const [key, child] of Object.entries(value)) {
        if (key === 'location' && typeof child === 'number' && child >= 0) offsets.push(child);
        else visit(child);
      }
    }
  };
  visit(tree);
  return offsets.length === 0 ? 0 : Math.min(...offsets);
}

/** Byte offset of the last `word` (a keyword, lower case) before `offset`; `offset` if there is none. */
export function keywordBefore(sql: SqlFile, offset: number, ...keywords: string[]): number {
  const token = sql.tokens.findLast(
    ({ start, text }) => start < offset && keywords.includes(text.toLowerCase()),
  );
  return token?.start ?? offset;
}

/** Byte offset of the first token of a statement: its own location includes the comments before it. */
export function startOf(sql: SqlFile, statement: RawStmt): number {
  const from = statement.stmt_location ?? 0;
  return sql.tokens.find((token) => token.start >= from && !isComment(token))?.start ?? from;
}

/** Whether a token is a comment of either kind. */
export function isComment(token: ScanToken): boolean {
  return token.text.startsWith('--') || token.text.startsWith('/*');
}

/** The names of the output columns of a select, in order; null where a column has none of its own. */
export function outputs(
  select: SelectStmt | undefined,
): { name: string | null; offset: number; value: Node | undefined }[] {
  return targetsOf(select).map(({ name, target, value }) => ({
    name,
    offset: offsetOf(target),
    value,
  }));
}
