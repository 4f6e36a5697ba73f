import type { Problem } from '../../runner/engine/text.ts';
import { all, words } from '../../runner/engine/grammar.ts';
import { keywordBefore, offsetOf, problem, type ViewFile } from './sql.ts';

const COLLECT = ['array_agg', 'string_agg', 'jsonb_agg', 'jsonb_object_agg'];
const RANK = ['dense_rank', 'first_value', 'lag', 'last_value', 'lead', 'rank', 'row_number'];

/**
 * Problem: array_agg(), row_number(), DISTINCT ON and LIMIT without an order take rows as they come: the
 * same source gives another result after a vacuum or with another plan.
 * Fix: add `order by` with a unique key at its end.
 */
export function ordered(file: ViewFile): Problem[] {
  const report = (offset: number, what: string) =>
    problem(
      'ordered',
      file,
      offset,
      `${what} without an order`,
      'add `order by`, a unique key last',
    );
  const calls = all(file.statements, 'FuncCall').flatMap((call) => {
    const name = words(call.funcname).at(-1) ?? '';
    const { over } = call;
    const loose = COLLECT.includes(name) && !call.agg_order && call.agg_distinct !== true;
    const unranked = RANK.includes(name) && over !== undefined && !over.orderClause && !over.name;
    if (over === undefined ? loose : unranked) return [report(call.location ?? 0, `${name}()`)];
    return [];
  });
  const selects = all(file.statements, 'SelectStmt')
    .filter((select) => !select.sortClause && !file.spine.includes(select))
    .flatMap((select) => {
      const distinctOn =
        select.distinctClause?.some((node) => Object.keys(node).length > 0) === true;
      if (distinctOn) {
        const offset = keywordBefore(file, offsetOf(select.distinctClause), 'distinct');
        return [report(offset, 'distinct on')];
      }
      if (select.limitCount === undefined) return [];
      return [report(keywordBefore(file, offsetOf(select.limitCount), 'limit', 'fetch'), 'limit')];
    });
  return [...calls, ...selects];
}
