import type { Node } from 'libpg-query';
import { ENTITY_FORM, readHeader, reasonsOf } from '../../runner/engine/header.ts';
import type { Problem } from '../../runner/engine/text.ts';
import { offsetOf, outputs, problem, problemAtLine, type ViewFile } from './sql.ts';

/**
 * Problem: a reason for which rows are rejected or left out is a word; who decides over them needs a
 * sentence. One that the view never yields says of the data what is not so.
 * Fix: one line per reason in the header: `-- reject  orphan_order  its order is not stored`.
 */
export function reasons(file: ViewFile): Problem[] {
  if (file.entity === undefined || file.view === undefined) return [];
  const said = reasonsOf(readHeader(file.file, file.text, [], ENTITY_FORM, []));
  const yielded = outputs(file.spine[0]).flatMap(({ name, value }) =>
    name === 'reject' || name === 'filter'
      ? constantsOf(value).map((reason) => ({ kind: name, ...reason }))
      : [],
  );
  const unsaid = firsts(yielded).filter((each) => !said.some((other) => isSame(each, other)));
  const unknown = said.filter((each) => !yielded.some((other) => isSame(each, other)));
  const twice = said.filter((each) => !firsts(said).includes(each));
  return [
    ...unsaid.map(({ kind, name, offset }) => {
      const fix = `add a line \`-- ${kind}  ${name}  ...\` that says what it means`;
      return problem('reasons', file, offset, `the header does not say what ${name} means`, fix);
    }),
    ...unknown.map(({ kind, name, line }) => {
      const message = `no row has the ${kind} ${name}: the column does not yield it`;
      return problemAtLine(
        'reasons',
        file,
        line,
        4,
        message,
        'remove the line, or correct the word',
      );
    }),
    ...twice.map(({ name, line }) =>
      problemAtLine('reasons', file, line, 4, `${name} is said twice`, 'keep one of the two lines'),
    ),
  ];
}

interface Word {
  kind: string;
  name: string;
}

function isSame(one: Word, other: Word): boolean {
  return one.kind === other.kind && one.name === other.name;
}

function firsts<W extends Word>(list: readonly W[]): W[] {
  return list.filter((each, index) => list.findIndex((other) => isSame(each, other)) === index);
}

/** The texts an expression of reasons may be; what else it is made of is found by `reason-words`. */
function constantsOf(node: Node | undefined): { name: string; offset: number }[] {
  if (node === undefined) return [];
  if ('A_Const' in node) {
    const name = node.A_Const.sval?.sval;
    return name === undefined ? [] : [{ name, offset: offsetOf({ node }) }];
  }
  if ('TypeCast' in node) return constantsOf(node.TypeCast.arg);
  if ('CoalesceExpr' in node) return (node.CoalesceExpr.args ?? []).flatMap(constantsOf);
  if ('A_Expr' in node && node.A_Expr.kind === 'AEXPR_NULLIF')
    return constantsOf(node.A_Expr.lexpr);
  if (!('CaseExpr' in node)) return [];
  const arms = (node.CaseExpr.args ?? []).flatMap((arm) =>
    'CaseWhen' in arm ? constantsOf(arm.CaseWhen.result) : [],
  );
  return [...arms, ...constantsOf(node.CaseExpr.defresult)];
}
