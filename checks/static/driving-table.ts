import type { Problem } from '../../runner/engine/text.ts';
import { firstFrom, selectOf } from '../../runner/engine/grammar.ts';
import { offsetOf, problem, type ViewFile } from './sql.ts';

/**
 * Problem: the header's `source` is the table the runner counts, versions and cuts into ranges. If the view
 * is driven by another one, all of that is about the wrong rows.
 * Fix: read the source table first in FROM (or first in the sub-select or CTE that stands first); with
 * `source none` read one row of values.
 */
export function drivingTable(file: ViewFile): Problem[] {
  const last = file.spine.at(-1);
  if (file.entity === undefined || last === undefined || last.larg !== undefined) return [];
  const { source } = file.entity;
  const first = firstFrom(last);
  const offset = offsetOf(first ?? { view: file.view?.view });
  const report = (message: string, fix: string) => [
    problem('driving-table', file, offset, message, fix),
  ];

  if (source === null) {
    const constant =
      first === undefined ||
      ('RangeSubselect' in first &&
        selectOf(first.RangeSubselect.subquery)?.valuesLists?.length === 1);
    const fix = 'read from `(values (-1::bigint)) as s(id)`, or name the source';
    return constant
      ? []
      : report('the header says `source none`, the view reads more than one row', fix);
  }
  const table = first !== undefined && 'RangeVar' in first ? first.RangeVar : undefined;
  if (table?.schemaname === 'legacy' && table.relname === source) return [];
  const message = `the header says source ${source}, but the first thing in FROM is another`;
  return report(message, `begin FROM with legacy.${source}, or correct the header`);
}
