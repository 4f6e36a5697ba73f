import type { Problem } from '../../runner/engine/text.ts';
import { isKeyOf, keyIn } from '../../runner/engine/key.ts';
import { keyText } from '../../runner/engine/keys.ts';
import { outputs, problem, type ViewFile } from './sql.ts';

/**
 * Problem: the changes of a row are found by the key of the driving table (`id`, or what `-- key` says). Under
 * any other key, however unique (a code, the id of a row that is joined one to one), the versions are those of
 * other rows: what changed is not read, what is read has not changed.
 * Fix: `<driving table>.id as legacy_key`, through sub-selects and CTEs under any name, with no expression
 * but a cast to a whole number; `migration.key_number(...)` of a key that is none. What the key was to be is a
 * column of the target.
 */
export function legacyKey(file: ViewFile): Problem[] {
  const [top] = file.spine;
  const key = outputs(top).find(({ name }) => name === 'legacy_key');
  const source = file.entity?.source ?? null;
  if (top === undefined || key === undefined || source === null) return [];
  // a union is the business of every-row
  if (file.spine.some(({ larg }) => larg !== undefined)) return [];
  const columns = file.entity?.key ?? ['id'];
  const found = keyIn(top);
  const isSaid = found.numbered ? file.entity?.numbered === true : columns.length === 1;
  // another table is the business of driving-table
  const isElsewhere = found.columns.some(
    (origin) => origin !== undefined && (origin.schema !== 'legacy' || origin.table !== source),
  );
  if (isElsewhere || (isKeyOf(found, source, columns) && isSaid)) {
    return [];
  }
  const isNumber = columns.length === 1 && !found.numbered;
  const said = keyText(`<alias of legacy.${source}>`, columns, isNumber);
  const fix = `take the key of ${source}, as it is: \`${said} as legacy_key\``;
  return [
    problem(
      'legacy-key',
      file,
      key.offset,
      `legacy_key is not the key of ${source} (${columns.join(', ')}), by which changes are found`,
      fix,
    ),
  ];
}
