import type { Node, SelectStmt } from 'libpg-query';

import { all, selectOf, targetsOf, words } from './grammar.ts';

/*
 * Which id map a column of a view takes its value from. Only where that is certain: a plain column
 * reference to an id map of FROM, possibly inside coalesce, case, nullif or a cast, or through a
 * sub-select or a CTE that does so. All else is left out.
 */

/** A column of a view that holds ids of a map, in some rows or in all. */
export interface Reference {
  column: string;
  map: string;
}

/** What the columns of a view's select refer to, in the order of the columns. */
export function referencesOf(top: SelectStmt): Reference[] {
  const ctes = all({ top }, 'CommonTableExpr');
  const entered = new Set<object>();
  return targetsOf(top).flatMap(({ name, value }) =>
    name === null ? [] : [...new Set(mapsOf(value, top))].map((map) => ({ column: name, map })),
  );

  /** The maps whose ids an expression of a select may be. */
  function mapsOf(node: Node | undefined, select: SelectStmt): string[] {
    if (node === undefined) return [];
    const among = (nodes: readonly Node[] | undefined) =>
      (nodes ?? []).flatMap((each) => mapsOf(each, select));
    if ('TypeCast' in node) return mapsOf(node.TypeCast.arg, select);
    if ('CoalesceExpr' in node) return among(node.CoalesceExpr.args);
    if ('CaseExpr' in node) {
      const arms = (node.CaseExpr.args ?? []).flatMap((arm) =>
        'CaseWhen' in arm ? mapsOf(arm.CaseWhen.result, select) : [],
      );
      return [...arms, ...mapsOf(node.CaseExpr.defresult, select)];
    }
    if ('A_Expr' in node && node.A_Expr.kind === 'AEXPR_NULLIF') {
      return mapsOf(node.A_Expr.lexpr, select);
    }
    if (!('ColumnRef' in node)) return [];
    const [alias, column, ...more] = words(node.ColumnRef.fields);
    if (alias === undefined || column === undefined || more.length > 0) return [];
    return throughItem(itemOf(select, alias), column);
  }

  function throughItem(item: Node | undefined, column: string): string[] {
    if (item === undefined) return [];
    if ('RangeSubselect' in item) {
      return throughSelect(selectOf(item.RangeSubselect.subquery), column);
    }
    if (!('RangeVar' in item)) return [];
    const { schemaname, relname } = item.RangeVar;
    if (schemaname === 'ids') return column === 'id' && relname !== undefined ? [relname] : [];
    const [cte, ...more] = ctes.filter(({ ctename }) => ctename === relname);
    if (schemaname !== undefined || cte === undefined || more.length > 0) return [];
    if (cte.aliascolnames !== undefined || entered.has(cte)) return [];
    entered.add(cte);
    const maps = throughSelect(selectOf(cte.ctequery), column);
    entered.delete(cte);
    return maps;
  }

  function throughSelect(select: SelectStmt | undefined, column: string): string[] {
    const value = targetsOf(select).find(({ name }) => name === column)?.value;
    return select === undefined ? [] : mapsOf(value, select);
  }
}

/** The item of a FROM clause that is called so; undefined where it renames its columns. */
function itemOf(select: SelectStmt, name: string): Node | undefined {
  const open = [...(select.fromClause ?? [])];
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    if ('JoinExpr' in item) {
      const { larg, rarg } = item.JoinExpr;
      open.push(...[larg, rarg].flatMap((side) => (side === undefined ? [] : [side])));
      continue;
    }
    const [alias, own] =
      'RangeVar' in item
        ? [item.RangeVar.alias, item.RangeVar.relname]
        : 'RangeSubselect' in item
          ? [item.RangeSubselect.alias, undefined]
          : [];
    if ((alias?.aliasname ?? own) === name) return alias?.colnames === undefined ? item : undefined;
  }
  return undefined;
}
