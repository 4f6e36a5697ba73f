import type { Node, SelectStmt } from 'libpg-query';

import {
  firstFrom,
  loadGrammar,
  selectOf,
  statementsOf,
  targetsOf,
  viewOf,
  words,
} from './grammar.ts';

/*
 * Which column of the driving table holds the key that leads nowhere where a view says `orphan_...`: the arm
 * `when x.id is null then 'orphan_x'` names what was joined, its condition the column. Only where that
 * is certain; all else is left out.
 */

/** Columns of the driving table by reason, of a view. */
export type Orphans = Record<string, string[]>;

/** To be awaited once, before `orphansOf`. */
export const loadOrphans = loadGrammar;

/** Reads the text of an entity file. Throws SqlError of libpg-query where it does not parse. */
export function orphansOf(text: string): Orphans {
  const top = selectOf(viewOf(statementsOf(text))?.query);
  const reject = targetsOf(top).find(({ name }) => name === 'reject')?.value;
  if (top === undefined || reject === undefined || !('CaseExpr' in reject)) return {};
  const found: Orphans = {};
  for (const arm of reject.CaseExpr.args ?? []) {
    if (!('CaseWhen' in arm)) continue;
    const { expr, result } = arm.CaseWhen;
    const reason =
      result !== undefined && 'A_Const' in result ? (result.A_Const.sval?.sval ?? '') : '';
    if (!reason.startsWith('orphan_')) continue;
    const columns = missingIn(expr).flatMap((alias) => columnOf(top, alias) ?? []);
    if (columns.length > 0) found[reason] = [...new Set(columns)];
  }
  return found;
}

/** What is not there where a condition holds: the aliases of `x.id is null`, also several with `or`. */
function missingIn(condition: Node | undefined): string[] {
  if (condition === undefined) return [];
  if ('BoolExpr' in condition && condition.BoolExpr.boolop === 'OR_EXPR') {
    return (condition.BoolExpr.args ?? []).flatMap(missingIn);
  }
  if (!('NullTest' in condition) || condition.NullTest.nulltesttype !== 'IS_NULL') return [];
  return aliasOf(condition.NullTest.arg)?.slice(0, 1) ?? [];
}

/** The column of the driving table from which joins lead to an alias. */
function columnOf(top: SelectStmt, alias: string): string | undefined {
  const driving = nameOf(firstFrom(top));
  const joins = joinsOf(top);
  const seen = new Set<string>();
  for (let at = alias; !seen.has(at);) {
    seen.add(at);
    const [from, ...more] = equalTo(at, joins.get(at));
    const [next, column] = from ?? [];
    if (next === undefined || column === undefined || more.length > 0) return undefined;
    if (next === driving) return column;
    at = next;
  }
  return undefined;
}

/** The condition of each join, by the alias of what is joined. */
function joinsOf(top: SelectStmt): Map<string, Node | undefined> {
  const found = new Map<string, Node | undefined>();
  const open = [...(top.fromClause ?? [])];
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    if (!('JoinExpr' in item)) continue;
    const { larg, rarg, quals } = item.JoinExpr;
    const name = nameOf(rarg);
    if (name !== undefined) found.set(name, quals);
    if (larg !== undefined) open.push(larg);
  }
  return found;
}

/** The columns that a condition demands to be equal to one of an alias: `[alias, column]` each. */
function equalTo(alias: string, condition: Node | undefined): [string, string][] {
  if (condition === undefined) return [];
  if ('BoolExpr' in condition && condition.BoolExpr.boolop === 'AND_EXPR') {
    return (condition.BoolExpr.args ?? []).flatMap((each) => equalTo(alias, each));
  }
  if (!('A_Expr' in condition) || words(condition.A_Expr.name)[0] !== '=') return [];
  const sides = [aliasOf(condition.A_Expr.lexpr), aliasOf(condition.A_Expr.rexpr)];
  const other = sides.find((side) => side !== undefined && side[0] !== alias);
  return other === undefined || !sides.some((side) => side?.[0] === alias) ? [] : [other];
}

/** `x.id` as `[x, id]`. */
function aliasOf(node: Node | undefined): [string, string] | undefined {
  if (node === undefined || !('ColumnRef' in node)) return undefined;
  const [alias, column, ...more] = words(node.ColumnRef.fields);
  return alias === undefined || column === undefined || more.length > 0
    ? undefined
    : [alias, column];
}

function nameOf(item: Node | undefined): string | undefined {
  if (item === undefined) return undefined;
  if ('RangeVar' in item) return item.RangeVar.alias?.aliasname ?? item.RangeVar.relname;
  return 'RangeSubselect' in item ? item.RangeSubselect.alias?.aliasname : undefined;
}
