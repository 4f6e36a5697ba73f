import type { A_Expr, CaseExpr, FuncCall, Node } from 'libpg-query';
import { words } from '../../runner/grammar.ts';

/** How a part of an expression counts for the value of the whole. */
export type Use = 'value' | 'decides' | 'looked at';

/** A part of an expression; `key` if it becomes the value of that key of a JSON object. */
export interface Part {
  node: Node;
  use: Use;
  key?: string;
}

// The result of a comparison says yes or no about its sides, not what they are.
const COMPARISONS = new Set(
  '= <> != < > <= >= ~ ~* !~ !~* ~~ ~~* !~~ !~~* @> <@ ? && @@'.split(' '),
);
const OBJECTS = new Set(['jsonb_build_object', 'json_build_object']);
const MEASURES = new Set(
  (
    'count length char_length character_length octet_length bit_length cardinality array_length ' +
    'jsonb_array_length json_array_length jsonb_typeof json_typeof pg_typeof row_number rank'
  ).split(' '),
);

/**
 * The rule of the coverage proof: which parts of an expression its value carries.
 *
 * - `value`: the value of the part is in the value of the whole, possibly transformed: arguments of functions
 *   and operators, results of a `case`, and the subject of a simple `case` (`case p.sex when 1 then 'male'
 *   ...`): a code that is translated is carried.
 * - `decides`: the part only chooses or is only tested or measured: conditions of a searched `case`, comparisons,
 *   null tests, AND and OR, counts and lengths, the second side of nullif. Shown in the lineage; not carried.
 * - `looked at`: it decides which rows count or in which order (FILTER, ORDER BY and OVER of a function).
 *   Neither shown nor carried.
 *
 * A kind of expression that is not named here decides: nothing is called carried without a rule that says so.
 */
export function partsOf(node: Node): Part[] {
  if ('CaseExpr' in node) return partsOfCase(node.CaseExpr);
  if ('A_Expr' in node) return partsOfOperator(node.A_Expr);
  if ('FuncCall' in node) return partsOfCall(node.FuncCall);
  if ('BoolExpr' in node) {
    const { args, boolop } = node.BoolExpr;
    return parts(args, boolop === 'NOT_EXPR' ? 'value' : 'decides');
  }
  if ('TypeCast' in node) return parts(node.TypeCast.arg, 'value');
  if ('CoalesceExpr' in node) return parts(node.CoalesceExpr.args, 'value');
  if ('MinMaxExpr' in node) return parts(node.MinMaxExpr.args, 'value');
  if ('A_ArrayExpr' in node) return parts(node.A_ArrayExpr.elements, 'value');
  if ('RowExpr' in node) return parts(node.RowExpr.args, 'value');
  if ('List' in node) return parts(node.List.items, 'value');
  if ('NamedArgExpr' in node) return parts(node.NamedArgExpr.arg, 'value');
  if ('CollateClause' in node) return parts(node.CollateClause.arg, 'value');
  if ('A_Indirection' in node) {
    const { arg, indirection } = node.A_Indirection;
    return [...parts(arg, 'value'), ...parts(indirection, 'decides')];
  }
  return parts(nodesIn(node), 'decides');
}

/** The nodes directly below a tree, whatever stands between them and it. */
export function nodesIn(tree: unknown): Node[] {
  if (Array.isArray(tree)) return tree.flatMap((each) => (isNode(each) ? [each] : nodesIn(each)));
  if (typeof tree !== 'object' || tree === null) return [];
  return Object.values(isNode(tree) ? (Object.values(tree)[0] as object) : tree).flatMap((child) =>
    isNode(child) ? [child] : nodesIn(child),
  );
}

function partsOfCase({ arg, args, defresult }: CaseExpr): Part[] {
  const branches = (args ?? []).flatMap((each) =>
    'CaseWhen' in each
      ? [...parts(each.CaseWhen.expr, 'decides'), ...parts(each.CaseWhen.result, 'value')]
      : [],
  );
  return [...parts(arg, 'value'), ...branches, ...parts(defresult, 'value')];
}

function partsOfOperator({ kind, name, lexpr, rexpr }: A_Expr): Part[] {
  if (kind === 'AEXPR_NULLIF') return [...parts(lexpr, 'value'), ...parts(rexpr, 'decides')];
  const computes = kind === 'AEXPR_OP' && !COMPARISONS.has(words(name).at(-1) ?? '');
  const use = computes ? 'value' : 'decides';
  return [...parts(lexpr, use), ...parts(rexpr, use)];
}

function partsOfCall({ funcname, args, agg_filter, agg_order, over }: FuncCall): Part[] {
  const name = words(funcname).at(-1) ?? '';
  const given = parts(args, MEASURES.has(name) ? 'decides' : 'value');
  const keyed = given.map((part, index) => {
    const key =
      OBJECTS.has(name) && index % 2 === 1 ? literalOf(given[index - 1]?.node) : undefined;
    return key === undefined ? part : { ...part, key };
  });
  return [...keyed, ...parts([agg_filter, agg_order, over].flatMap(nodesOf), 'looked at')];
}

function nodesOf(tree: unknown): Node[] {
  return isNode(tree) ? [tree] : nodesIn(tree);
}

function literalOf(node: Node | undefined): string | undefined {
  if (node !== undefined && 'TypeCast' in node) return literalOf(node.TypeCast.arg);
  return node !== undefined && 'A_Const' in node ? node.A_Const.sval?.sval : undefined;
}

function parts(nodes: Node | readonly Node[] | undefined, use: Use): Part[] {
  const list = nodes === undefined ? [] : 'length' in nodes ? nodes : [nodes];
  return list.map((node) => ({ node, use }));
}

function isNode(value: unknown): value is Node {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const keys = Object.keys(value);
  return keys.length === 1 && /^[A-Z]/.test(keys[0] ?? '');
}
