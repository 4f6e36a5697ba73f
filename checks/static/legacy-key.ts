import type { Problem } from '../../runner/engine/text.ts';
import { isIdOf, originOf } from '../../runner/engine/key.ts';
import { outputs, problem, type ViewFile } from './sql.ts';

/**
 * Problem: the changes of a row are found by the id of the driving table. Under any other key, however unique
 * (a code, the id of a row that is joined one to one), the versions are those of other rows: what changed is
 * not read, what is read has not changed.
 * Fix: `<driving table>.id as legacy_key`, through sub-selects and CTEs under any name, with no expression
 * but a cast to a whole number. What the key was to be is a column of the target.
 */
export function legacyKey(file: ViewFile): Problem[] {
  const [top] = file.spine;
  const key = outputs(top).find(({ name }) => name === 'legacy_key');
  const source = file.entity?.source ?? null;
  if (top === undefined || key === undefined || source === null) return [];
  // a union is the business of every-row
  if (file.spine.some(({ larg }) => larg !== undefined)) return [];
  const origin = originOf(top, 'legacy_key');
  // another table is the business of driving-table
  const isElsewhere =
    origin !== undefined && (origin.schema !== 'legacy' || origin.table !== source);
  if (isElsewhere || isIdOf(origin, source)) return [];
  const fix = `take the id of ${source}, as it is: \`<alias of legacy.${source}>.id as legacy_key\``;
  return [
    problem(
      'legacy-key',
      file,
      key.offset,
      `legacy_key is not ${source}.id, by which changes are found`,
      fix,
    ),
  ];
}
