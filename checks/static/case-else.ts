import type { CaseExpr, Node } from 'libpg-query';
import type { Problem } from '../../runner/engine/text.ts';
import { all, words } from '../../runner/engine/grammar.ts';
import { problem, type ViewFile } from './sql.ts';

const EXEMPT = ['filter', 'reject'];

/**
 * Problem: a `case` that translates a code, and every `case` cast to an enum, turns a code nobody thought
 * of into NULL without a word. The columns filter and reject are lists of reasons, and a guard
 * (`case when x then y end`) means NULL: both need no else.
 * Fix: say what an unknown code becomes: `else 'unknown'`, or `else null` where that is decided.
 */
export function caseElse(file: ViewFile): Problem[] {
  const isReason = (kind: string, node: object) =>
    kind === 'ResTarget' && 'name' in node && EXEMPT.includes(String(node.name));
  const cast = new Set(
    all(file.statements, 'TypeCast', isReason)
      .filter(({ typeName }) => words(typeName?.names)[0] === 'public')
      .map(({ arg }) => (arg !== undefined && 'CaseExpr' in arg ? arg.CaseExpr : undefined)),
  );
  return all(file.statements, 'CaseExpr', isReason)
    .filter((expression) => expression.defresult === undefined)
    .flatMap((expression) => {
      const why = cast.has(expression)
        ? 'cast to an enum'
        : overCode(expression)
          ? 'over a code'
          : null;
      if (why === null) return [];
      const fix = 'say what any other value becomes: `else ...`';
      return [
        problem('case-else', file, expression.location ?? 0, `a case ${why} has no else`, fix),
      ];
    });
}

/** `case x when ...`, or several conditions that all compare one thing with constants. */
function overCode(expression: CaseExpr): boolean {
  if (expression.arg !== undefined) return true;
  const conditions = (expression.args ?? []).map((when) =>
    'CaseWhen' in when ? compared(when.CaseWhen.expr) : null,
  );
  return conditions.length > 1 && conditions[0] !== null && new Set(conditions).size === 1;
}

/** What a condition compares with constants, as text without places; null if it does anything else. */
function compared(condition: Node | undefined): string | null {
  if (condition === undefined) return null;
  if ('NullTest' in condition) return plain(condition.NullTest.arg);
  if ('BoolExpr' in condition && condition.BoolExpr.boolop === 'OR_EXPR') {
    const parts = new Set((condition.BoolExpr.args ?? []).map(compared));
    const [only = null] = parts;
    return parts.size === 1 ? only : null;
  }
  if (!('A_Expr' in condition)) return null;
  const { kind, name, lexpr, rexpr } = condition.A_Expr;
  if (kind === 'AEXPR_IN' || kind === 'AEXPR_NOT_DISTINCT' || words(name)[0] === '=') {
    if (isConstant(rexpr)) return plain(lexpr);
    if (isConstant(lexpr)) return plain(rexpr);
  }
  return null;
}

function isConstant(node: Node | undefined): boolean {
  if (node === undefined) return false;
  if ('A_Const' in node) return true;
  if ('TypeCast' in node) return isConstant(node.TypeCast.arg);
  return 'List' in node && (node.List.items ?? []).every(isConstant);
}

function plain(node: Node | undefined): string | null {
  if (node === undefined || isConstant(node)) return null;
  return JSON.stringify(node, (key, value: unknown) => (key === 'location' ? undefined : value));
}
