import type { JoinExpr, Node, SelectStmt } from 'libpg-query';
import type { Problem } from '../../runner/engine/text.ts';
import { aggregatesOf, rowClauses, selectOf } from '../../runner/engine/grammar.ts';
import { keywordBefore, offsetOf, problem, type ViewFile } from './sql.ts';

const FIX = 'left rows out with the column filter or reject; look up with left joins only';

/**
 * Problem: a view must show every row of its driving table exactly once, or the balance (source = merged +
 * rejected + filtered) cannot be read off it. WHERE, LIMIT, GROUP BY, DISTINCT, UNION and inner joins lose
 * rows; ORDER BY only costs. Holds for the view's select and, where it reads from a CTE or a sub-select
 * first, for that one too.
 * Fix: make the condition a reason in the column filter; look up with left joins; add values of the row by
 * `cross join lateral (select ... ) as x` without FROM. Group inside a joined sub-select. Several rows of each
 * are parts: `-- part  kind  home, work` and `cross join (values ('home'), ('work')) as part(kind)`, first
 * column first.
 */
export function everyRow(file: ViewFile): Problem[] {
  return file.spine.flatMap((select) => [
    ...rowClauses(select).map(([keywords, node]) => {
      const offset = keywordBefore(file, offsetOf(node), ...keywords);
      const message = `${keywords.join('/').toUpperCase()} can lose, double or sort rows`;
      return problem('every-row', file, offset, message, FIX);
    }),
    ...aggregatesOf(select).map(({ location = 0 }) =>
      problem('every-row', file, location, 'an aggregate makes one row of many', FIX),
    ),
    ...joins(select, file.entity?.part?.all ?? []).map((join) => {
      const offset = keywordBefore(file, offsetOf(join.rarg), 'join');
      return problem('every-row', file, offset, 'this join can lose or double rows', FIX);
    }),
    ...(select.fromClause ?? [])
      .slice(1)
      .map((item) => problem('every-row', file, offsetOf(item), 'a comma is an inner join', FIX)),
  ]);
}

function joins(select: SelectStmt, parts: readonly string[]): JoinExpr[] {
  const found: JoinExpr[] = [];
  let item = select.fromClause?.[0];
  while (item !== undefined && 'JoinExpr' in item) {
    const join: JoinExpr = item.JoinExpr;
    if (join.jointype !== 'JOIN_LEFT' && !isCrossJoin(join, parts)) found.push(join);
    item = join.larg;
  }
  return found;
}

function isCrossJoin(join: JoinExpr, parts: readonly string[]): boolean {
  const plain =
    join.quals === undefined && join.usingClause === undefined && join.isNatural !== true;
  return (
    join.jointype === 'JOIN_INNER' && plain && (isOneRow(join.rarg) || isParts(join.rarg, parts))
  );
}

/** `(values ('home'), ('work'))`: each part once, as the header says. */
function isParts(node: Node | undefined, parts: readonly string[]): boolean {
  if (parts.length === 0 || node === undefined || !('RangeSubselect' in node)) return false;
  const rows = selectOf(node.RangeSubselect.subquery)?.valuesLists ?? [];
  const values = rows.map((row) => textOf('List' in row ? row.List.items?.[0] : undefined));
  return values.length === parts.length && parts.every((part) => values.includes(part));
}

function textOf(node: Node | undefined): string | undefined {
  if (node === undefined) return undefined;
  if ('TypeCast' in node) return textOf(node.TypeCast.arg);
  return 'A_Const' in node ? node.A_Const.sval?.sval : undefined;
}

/** A lateral select that yields exactly one row: nothing but expressions. */
function isOneRow(node: Node | undefined): boolean {
  if (node === undefined || !('RangeSubselect' in node)) return false;
  const select = selectOf(node.RangeSubselect.subquery);
  if (node.RangeSubselect.lateral !== true || select === undefined) return false;
  if (select.valuesLists !== undefined) return select.valuesLists.length === 1;
  return select.fromClause === undefined && rowClauses(select).length === 0;
}
