import type { Node, SelectStmt } from 'libpg-query';

import { all, firstFrom, selectOf, targetsOf, words } from './grammar.ts';

/** A column of a table. */
export interface Origin {
  schema: string;
  table: string;
  column: string;
}

/** Whether a column is the id of a source table. */
export function isIdOf(origin: Origin | undefined, source: string): boolean {
  return origin?.schema === 'legacy' && origin.table === source && origin.column === 'id';
}

const WHOLE_NUMBERS = ['int2', 'int4', 'int8'];

/**
 * The column of the table a select is driven by that `column` of the select holds, unchanged in every
 * row, followed through the sub-selects and common tables that stand first in FROM. undefined where it is
 * anything else, or cannot be told.
 */
export function originOf(top: SelectStmt, column: string): Origin | undefined {
  const ctes = all({ top }, 'CommonTableExpr');
  const entered = new Set<SelectStmt>();
  let select: SelectStmt | undefined = top;
  for (let name = column; select !== undefined && !entered.has(select);) {
    entered.add(select);
    const values = targetsOf(select).filter((target) => target.name === name);
    const first = firstFrom(select);
    const [value] = values;
    // a union has no list of its own
    if (values.length !== 1 || first === undefined) return undefined;
    const field = fieldOf(value?.value, first, select);
    if (field === undefined) return undefined;
    name = field;
    if ('RangeVar' in first && first.RangeVar.schemaname !== undefined) {
      const { schemaname: schema, relname: table = '' } = first.RangeVar;
      return { schema, table, column: name };
    }
    select = undefined;
    if ('RangeSubselect' in first) select = selectOf(first.RangeSubselect.subquery);
    else if ('RangeVar' in first) {
      const found = ctes.filter(({ ctename }) => ctename === first.RangeVar.relname);
      if (found.length === 1 && found[0]?.aliascolnames === undefined) {
        select = selectOf(found[0]?.ctequery);
      }
    }
  }
  return undefined;
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
