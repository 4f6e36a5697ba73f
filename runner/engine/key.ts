import type { CommonTableExpr, Node, SelectStmt } from 'libpg-query';

import { all, firstFrom, selectOf, targetsOf, words } from './grammar.ts';

/** A column of a table. */
export interface Origin {
  schema: string;
  table: string;
  column: string;
}

/** What a view takes as `legacy_key`. */
export interface Key {
  /** The columns it is made of; undefined where one is anything else, or cannot be told. */
  columns: (Origin | undefined)[];
  /** `migration.key_number(...)` of them: a number made of a key that is none. */
  numbered: boolean;
}

const WHOLE_NUMBERS = ['int2', 'int4', 'int8'];

/** Whether a key is made of these columns of a source table, in this order. */
export function isKeyOf(key: Key, source: string, columns: readonly string[]): boolean {
  return (
    key.columns.length === columns.length &&
    key.columns.every(
      (origin, index) =>
        origin?.schema === 'legacy' && origin.table === source && origin.column === columns[index],
    )
  );
}

/**
 * The columns of the table a select is driven by that its column `legacy_key` holds, unchanged or as a number
 * made of them, followed through the sub-selects and common tables that stand first in FROM.
 */
export function keyIn(top: SelectStmt): Key {
  const ctes = all({ top }, 'CommonTableExpr');
  const entered = new Set<SelectStmt>();
  let select: SelectStmt | undefined = top;
  for (let name = 'legacy_key'; select !== undefined && !entered.has(select);) {
    entered.add(select);
    const value = valueIn(select, name);
    const parts = partsOf(value);
    const at: SelectStmt = select;
    if (parts !== undefined) {
      return { columns: parts.map((part) => originOf(at, part, ctes)), numbered: true };
    }
    const first = firstFrom(select);
    const field: string | undefined =
      first === undefined ? undefined : fieldOf(value, first, select);
    if (first === undefined || field === undefined) break;
    const inner = selectIn(first, ctes);
    if (inner === undefined) return { columns: [tableColumn(first, field)], numbered: false };
    [select, name] = [inner, field];
  }
  return { columns: [undefined], numbered: false };
}

/** The column of the driving table that an expression of a select is. */
function originOf(
  start: SelectStmt,
  node: Node,
  ctes: readonly CommonTableExpr[],
): Origin | undefined {
  const entered = new Set<SelectStmt>();
  let select = start;
  let value: Node | undefined = node;
  while (!entered.has(select)) {
    entered.add(select);
    const first = firstFrom(select);
    const field: string | undefined =
      first === undefined ? undefined : fieldOf(value, first, select);
    if (first === undefined || field === undefined) return undefined;
    const inner = selectIn(first, ctes);
    if (inner === undefined) return tableColumn(first, field);
    [select, value] = [inner, valueIn(inner, field)];
  }
  return undefined;
}

/** The one expression of that name; a union has no list of its own. */
function valueIn(select: SelectStmt, name: string): Node | undefined {
  const values = targetsOf(select).filter((target) => target.name === name);
  return values.length === 1 ? values[0]?.value : undefined;
}

/** What is given to `migration.key_number`. */
function partsOf(node: Node | undefined): Node[] | undefined {
  if (node === undefined || !('FuncCall' in node)) return undefined;
  if (words(node.FuncCall.funcname).join('.') !== 'migration.key_number') return undefined;
  const [given] = node.FuncCall.args ?? [];
  if (given === undefined) return undefined;
  return 'RowExpr' in given ? (given.RowExpr.args ?? []) : [given];
}

function tableColumn(item: Node, column: string): Origin | undefined {
  if (!('RangeVar' in item)) return undefined;
  const { schemaname: schema, relname: table = '' } = item.RangeVar;
  return schema === undefined ? undefined : { schema, table, column };
}

/** The select that an item of FROM stands for. */
function selectIn(item: Node, ctes: readonly CommonTableExpr[]): SelectStmt | undefined {
  if ('RangeSubselect' in item) return selectOf(item.RangeSubselect.subquery);
  if (!('RangeVar' in item) || item.RangeVar.schemaname !== undefined) return undefined;
  const found = ctes.filter(({ ctename }) => ctename === item.RangeVar.relname);
  const [cte] = found;
  return found.length === 1 && cte?.aliascolnames === undefined
    ? selectOf(cte?.ctequery)
    : undefined;
}

/** The column of the first thing in FROM that an expression is, or is as another whole number. */
function fieldOf(node: Node | undefined, first: Node, select: SelectStmt): string | undefined {
  if (node === undefined) return undefined;
  if ('TypeCast' in node) {
    const { arg, typeName } = node.TypeCast;
    const isWhole = WHOLE_NUMBERS.includes(words(typeName?.names).at(-1) ?? '');
    return isWhole && typeName?.arrayBounds === undefined ? fieldOf(arg, first, select) : undefined;
  }
  if (!('ColumnRef' in node)) return undefined;
  const fields = words(node.ColumnRef.fields);
  const column = fields.at(-1) ?? '';
  const alias = aliasOf(first);
  if (column === '' || alias === undefined) return undefined;
  if (fields.length === 2) return fields[0] === alias ? column : undefined;
  // nobody else's: there is nobody else
  const isAlone = select.fromClause?.length === 1 && select.fromClause[0] === first;
  return fields.length === 1 && isAlone ? column : undefined;
}

/** By what name columns of an item are read; undefined where it renames its columns. */
function aliasOf(item: Node): string | undefined {
  if ('RangeVar' in item) {
    const { alias, relname } = item.RangeVar;
    return alias?.colnames === undefined ? (alias?.aliasname ?? relname) : undefined;
  }
  const alias = 'RangeSubselect' in item ? item.RangeSubselect.alias : undefined;
  return alias?.colnames === undefined ? alias?.aliasname : undefined;
}
