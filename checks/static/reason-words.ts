import type { Node } from 'libpg-query';
import type { Problem } from '../../runner/engine/text.ts';
import { words } from '../../runner/engine/grammar.ts';
import { offsetOf, outputs, problem, type ViewFile } from './sql.ts';

const REASONS = new Set(['filter', 'missing', 'reject']);

/**
 * Problem: filter, missing and reject are words that go into the ledger, into messages and onto the screen.
 * One that is made of a column carries the value of a row there, and is another reason for every row.
 * Fix: constants, chosen by case, coalesce and concat_ws; the row is found by its key.
 */
export function reasonWords(file: ViewFile): Problem[] {
  return outputs(file.spine[0]).flatMap(({ name, value }) => {
    if (name === null || !REASONS.has(name)) return [];
    return strangers(value).map((node) => {
      const fix = "choose among constants: `case when ... then 'word' end`";
      const message = `${name} is made of more than constants`;
      return problem('reason-words', file, offsetOf({ node }), message, fix);
    });
  });
}

/** The parts of an expression that may be its value, or part of it, and are no constants. */
function strangers(node: Node | undefined): Node[] {
  if (node === undefined || 'A_Const' in node) return [];
  if ('TypeCast' in node) return strangers(node.TypeCast.arg);
  if ('CoalesceExpr' in node) return (node.CoalesceExpr.args ?? []).flatMap(strangers);
  if ('CaseExpr' in node) {
    const results = (node.CaseExpr.args ?? []).map((arm) =>
      'CaseWhen' in arm ? arm.CaseWhen.result : undefined,
    );
    return [...results, node.CaseExpr.defresult].flatMap(strangers);
  }
  if ('A_Expr' in node && node.A_Expr.kind === 'AEXPR_NULLIF') {
    return [node.A_Expr.lexpr, node.A_Expr.rexpr].flatMap(strangers);
  }
  if ('FuncCall' in node && words(node.FuncCall.funcname).at(-1) === 'concat_ws') {
    return (node.FuncCall.args ?? []).flatMap(strangers);
  }
  return [node];
}
