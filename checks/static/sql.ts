import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  hasSqlDetails,
  loadModule,
  parseSync,
  scanSync,
  type Node,
  type RawStmt,
  type ScanToken,
  type SelectStmt,
  type ViewStmt,
} from 'libpg-query';
import { positionAt, type Entity, type Problem } from '../../runner/catalog.ts';

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
  entity: Entity | undefined;
  view: ViewStmt | undefined;
  /**
   * The selects that decide which rows the view has: the view's own one and, as long as the first thing in
   * FROM is a sub-select or a CTE, that one. Empty without a view.
   */
  spine: SelectStmt[];
}

export type Kind = Node extends infer N ? (N extends unknown ? keyof N & string : never) : never;
export type NodeOf<K extends Kind> = Extract<Node, Record<K, unknown>>[K];

// Fields whose node comes without the object that names its kind.
const BARE: Record<string, string> = {
  typeName: 'TypeName',
  view: 'RangeVar',
  relation: 'RangeVar',
  over: 'WindowDef',
  withClause: 'WithClause',
  larg: 'SelectStmt',
  rarg: 'SelectStmt',
};

// The parser ends at a NUL and the scanner fails on the others: whatever follows would not be checked.
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** Reads and parses a file. Throws only what the file system throws. */
export async function readSql(root: string, file: string): Promise<SqlFile> {
  await loadModule();
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
  if (text.trim() === '') return { ...sql, statements: [] };
  try {
    return { ...sql, statements: parseSync(text).stmts ?? [] };
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
  const statement = sql.statements[0]?.stmt;
  const view = statement !== undefined && 'ViewStmt' in statement ? statement.ViewStmt : undefined;
  const select = selectOf(view?.query);
  return { ...sql, name, entity, view, spine: select === undefined ? [] : spineOf(select) };
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

/** Every node of one kind below `tree`, in no promised order; `skip` says which nodes not to enter. */
export function all<K extends Kind>(
  tree: unknown,
  kind: K,
  skip: (kind: string, node: object) => boolean = () => false,
): NodeOf<K>[] {
  const found: NodeOf<K>[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (isObject(value)) {
      for (const [key, child] of Object.entries(value)) {
        if (!isObject(child)) continue;
        const name = isKind(key) ? key : bareKind(key, child);
        if (name !== undefined && skip(name, child)) continue;
        if (name === kind) found.push(child as NodeOf<K>);
        visit(child);
      }
    }
  };
  visit(tree);
  return found;
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

/** The texts of a list of String nodes: `['pg_catalog', 'btrim']`. */
export function words(nodes: readonly Node[] | undefined): string[] {
  return (nodes ?? []).map((node) => ('String' in node ? (node.String.sval ?? '') : ''));
}

/** The select a node is, if it is one. */
export function selectOf(node: Node | undefined): SelectStmt | undefined {
  return node !== undefined && 'SelectStmt' in node ? node.SelectStmt : undefined;
}

/** The leftmost item of a FROM clause, joins opened. */
export function firstFrom(select: SelectStmt | undefined): Node | undefined {
  let item = select?.fromClause?.[0];
  while (item !== undefined && 'JoinExpr' in item) item = item.JoinExpr.larg;
  return item;
}

/** The names of the output columns of a select, in order; null where a column has none of its own. */
export function outputs(
  select: SelectStmt | undefined,
): { name: string | null; offset: number; value: Node | undefined }[] {
  return all({ list: select?.targetList }, 'ResTarget', (kind) => kind === 'SelectStmt').map(
    (target) => {
      const value = target.val;
      const fields =
        value !== undefined && 'ColumnRef' in value ? words(value.ColumnRef.fields) : [];
      return { name: target.name ?? fields.at(-1) ?? null, offset: offsetOf(target), value };
    },
  );
}

function spineOf(top: SelectStmt): SelectStmt[] {
  const spine = [top];
  const used = new Set<string>();
  const ctes = all({ top }, 'CommonTableExpr');
  for (let select: SelectStmt | undefined = top; select !== undefined;) {
    const first = firstFrom(select);
    select = undefined;
    if (first !== undefined && 'RangeSubselect' in first) {
      select = selectOf(first.RangeSubselect.subquery);
    } else if (first !== undefined && 'RangeVar' in first && !first.RangeVar.schemaname) {
      const name = first.RangeVar.relname ?? '';
      if (!used.has(name)) select = selectOf(ctes.find((cte) => cte.ctename === name)?.ctequery);
      used.add(name);
    }
    if (select?.valuesLists !== undefined) return spine;
    if (select !== undefined) spine.push(select);
  }
  return spine;
}

function bareKind(key: string, child: object): string | undefined {
  return Object.keys(child).some(isKind) ? undefined : BARE[key];
}

function isKind(key: string): boolean {
  return /^[A-Z]/.test(key);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
