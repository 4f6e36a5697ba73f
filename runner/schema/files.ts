import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parse, scanSync } from 'libpg-query';

import type { Problem } from '../engine/text.ts';
import { isRow, SchemaChangeError } from './error.ts';
import { type ChangeText, type Folder, readTexts } from './folder.ts';

/** A column that no schema change may drop, rename or retype. */
export interface ProtectedColumn {
  schema: string;
  table: string;
  column: string;
}

/** A file as it was read once: what is checked, hashed and run is the same text. */
export interface ChangeFile extends ChangeText {
  up: Section;
  down: Section;
}

/** One direction of a file; `offset` is where its text begins, in UTF-16 units. */
export interface Section {
  text: string;
  offset: number;
}

type Row = Record<string, unknown>;

const FILE_NAME = /^\d{17}_[a-z0-9]+(-[a-z0-9]+)*\.sql$/;
// the same markers that node-pg-migrate looks for
const UP = /^\s*--[\s-]*up\s+migration/gim;
const DOWN = /^\s*--[\s-]*down\s+migration/gim;

/**
 * Static check of one schema-change file (no database): both directions present and valid SQL, no
 * transaction control, no CASCADE, no protected column dropped, renamed or retyped. `file` is
 * relative to the project root. Code inside a string that is executed is the guard's business.
 */
export async function inspectSchemaChange(
  file: string,
  text: string,
  protectedColumns: ProtectedColumn[],
): Promise<Problem[]> {
  const base = file.slice(file.lastIndexOf('/') + 1);
  if (!FILE_NAME.test(base)) {
    return [
      problem(file, text, 0, 'schema-file-name', `${base} is not a schema change`, {
        fix: 'Name it <17 digits>_<words-with-dashes>.sql; only SQL files are run.',
      }),
    ];
  }
  const sections = split(text);
  if (sections === null) {
    return [
      problem(file, text, 0, 'schema-sections', 'not exactly one up and one down section', {
        fix: 'Write "-- Up Migration" once, and "-- Down Migration" once below it.',
      }),
    ];
  }
  const found = await Promise.all(
    [sections.up, sections.down].map((section) =>
      inspectSection(file, text, section, protectedColumns),
    ),
  );
  return found.flat();
}

/**
 * Reads `schema-changes/protected.json`; a project without schema changes protects nothing. Throws
 * `SchemaChangeError` (`usage`) if it is unusable.
 */
export async function readProtectedColumns(root: string): Promise<ProtectedColumn[]> {
  if (!existsSync(join(root, 'schema-changes'))) return [];
  const file = 'schema-changes/protected.json';
  try {
    const content: unknown = JSON.parse(await readFile(join(root, file), 'utf8'));
    if (Array.isArray(content) && content.every(isProtectedColumn)) return content;
  } catch {
    // said below, with the shape that is expected
  }
  throw new SchemaChangeError(
    'usage',
    `${file} is missing or not a list of {schema, table, column}. Nothing was changed.`,
    { file },
  );
}

/** Reads a folder in the order of execution; a folder that is not there is an empty one. */
export function readFolder(root: string, folder: Folder): ChangeFile[] {
  const none = { text: '', offset: 0 };
  return readTexts(root, folder).map((change) => ({
    ...change,
    ...(split(change.text) ?? { up: none, down: none }),
  }));
}

function split(text: string): { up: Section; down: Section } | null {
  const ups = [...text.matchAll(UP)];
  const downs = [...text.matchAll(DOWN)];
  const up = ups[0]?.index;
  const down = downs[0]?.index;
  if (ups.length !== 1 || downs.length !== 1 || up === undefined || down === undefined) return null;
  if (down < up) return null;
  return {
    up: { text: text.slice(up, down), offset: up },
    down: { text: text.slice(down), offset: down },
  };
}

async function inspectSection(
  file: string,
  text: string,
  section: Section,
  protectedColumns: ProtectedColumn[],
): Promise<Problem[]> {
  let statements: { stmt: unknown; offset: number }[];
  try {
    const tree = (await parse(section.text)) as {
      stmts?: { stmt?: unknown; stmt_location?: number }[];
    };
    const bytes = Buffer.from(section.text);
    statements = (tree.stmts ?? []).map(({ stmt, stmt_location: start = 0 }) => ({
      stmt,
      offset: section.offset + firstToken(section.text, bytes.subarray(0, start).toString().length),
    }));
  } catch (error) {
    const position = (error as { sqlDetails?: { cursorPosition?: number } }).sqlDetails;
    return [
      problem(
        file,
        text,
        section.offset + (position?.cursorPosition ?? 0),
        'schema-syntax',
        error instanceof Error ? error.message : 'not valid SQL',
        { fix: 'Correct the statement.' },
      ),
    ];
  }
  return statements.flatMap(({ stmt, offset }) =>
    inspectStatement(stmt, protectedColumns).map(({ rule, message, fix }) =>
      problem(file, text, offset, rule, message, { fix }),
    ),
  );
}

/** The parser's statement begins where the last one ended: skips blanks and comments. */
function firstToken(text: string, from: number): number {
  const skipped = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/|;)*/.exec(text.slice(from));
  return from + (skipped?.[0].length ?? 0);
}

function inspectStatement(
  stmt: unknown,
  protectedColumns: ProtectedColumn[],
): { rule: string; message: string; fix: string }[] {
  const found: { rule: string; message: string; fix: string }[] = [];
  for (const [kind, node] of nodesOf(stmt)) {
    if (kind === 'TransactionStmt') {
      found.push({
        rule: 'schema-transaction',
        message: 'transaction control (BEGIN, COMMIT, ROLLBACK, SAVEPOINT)',
        fix: 'Remove it: all files run in one transaction, which the runner ends.',
      });
    }
    const body = bodyOf(kind, node);
    if (node['behavior'] === 'DROP_CASCADE' || (body !== null && mentionsCascade(body))) {
      found.push({
        rule: 'schema-cascade',
        message: 'CASCADE removes objects that the file does not name',
        fix: 'Drop what depends on it by name, before it.',
      });
    }
    for (const column of protectedColumns) {
      if (losesColumn(kind, node, column)) {
        found.push({
          rule: 'schema-protected',
          message: `${column.schema}.${column.table}.${column.column} is protected`,
          fix: 'It may not be dropped, renamed, moved, retyped or overwritten: leave it as it is.',
        });
      }
    }
  }
  return found;
}

/** `set (a, b) = ...` and `set a = ...`: the names are in the list itself. */
function namesTarget(list: unknown, column: string): boolean {
  return (Array.isArray(list) ? list : []).some(
    (item: unknown) =>
      isRow(item) && isRow(item['ResTarget']) && item['ResTarget']['name'] === column,
  );
}

/** Every `{ Kind: {...} }` pair of a parse tree, outermost first. */
function* nodesOf(value: unknown): Generator<[string, Row]> {
  if (Array.isArray(value)) {
    for (const item of value) yield* nodesOf(item);
  } else if (isRow(value)) {
    for (const [key, child] of Object.entries(value)) {
      if (isRow(child)) yield [key, child];
      yield* nodesOf(child);
    }
  }
}

/** The code of a DO block or of a function with a quoted body, else null. */
function bodyOf(kind: string, node: Row): string | null {
  if (kind !== 'DefElem' || node['defname'] !== 'as') return null;
  const strings = [...nodesOf(node['arg'])].map(([, child]) => child['sval']);
  return strings.filter((text) => typeof text === 'string').join('\n');
}

/** A word of the code, or of a string in it (it may be executed); comments do not count. */
function mentionsCascade(body: string): boolean {
  try {
    return scanSync(body).tokens.some(
      (token) => !token.tokenName.includes('COMMENT') && /\bcascade\b/i.test(token.text),
    );
  } catch {
    return /\bcascade\b/i.test(body);
  }
}

function losesColumn(kind: string, node: Row, column: ProtectedColumn): boolean {
  const relation = isRow(node['relation']) ? node['relation'] : {};
  const isTable =
    relation['relname'] === column.table &&
    (relation['schemaname'] === undefined || relation['schemaname'] === column.schema);
  if (kind === 'RenameStmt') {
    if (node['renameType'] === 'OBJECT_SCHEMA') return node['subname'] === column.schema;
    if (!isTable) return false;
    return node['renameType'] === 'OBJECT_TABLE' || node['subname'] === column.column;
  }
  if (kind === 'AlterObjectSchemaStmt') return isTable;
  if (kind === 'UpdateStmt' && isTable) return namesTarget(node['targetList'], column.column);
  if (kind === 'TruncateStmt') {
    return [...nodesOf(node['relations'])].some(([, child]) => child['relname'] === column.table);
  }
  if (kind === 'AlterTableStmt' && isTable) {
    return [...nodesOf(node['cmds'])].some(
      ([name, command]) =>
        name === 'AlterTableCmd' &&
        command['name'] === column.column &&
        (command['subtype'] === 'AT_DropColumn' || command['subtype'] === 'AT_AlterColumnType'),
    );
  }
  if (kind === 'DropStmt') {
    const names = (Array.isArray(node['objects']) ? node['objects'] : []).map((object: unknown) =>
      [...nodesOf(object)].flatMap(([, child]) =>
        typeof child['sval'] === 'string' ? [child['sval']] : [],
      ),
    );
    if (node['removeType'] === 'OBJECT_SCHEMA')
      return names.some((n) => n.at(-1) === column.schema);
    return (
      node['removeType'] === 'OBJECT_TABLE' &&
      names.some((n) => n.at(-1) === column.table && (n.length === 1 || n.at(-2) === column.schema))
    );
  }
  return false;
}

function problem(
  file: string,
  text: string,
  offset: number,
  rule: string,
  message: string,
  { fix }: { fix: string },
): Problem {
  return { rule, file, ...placeOf(text, offset), message, fix };
}

/** Line and column, from 1, of an offset in UTF-16 units. */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

function isProtectedColumn(value: unknown): value is ProtectedColumn {
  return (
    isRow(value) && ['schema', 'table', 'column'].every((key) => typeof value[key] === 'string')
  );
}
