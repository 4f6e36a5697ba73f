import type { Problem } from '../../runner/engine/text.ts';
import { all } from '../../runner/engine/grammar.ts';
import { problem, type ViewFile } from './sql.ts';

/**
 * Problem: a view looks up ids in a map that is filled later (or never): every reference would be missing.
 * Fix: what is mentioned as ids.<entity> must stand before, in an earlier phase or under a smaller number;
 * only its own map may be mentioned too.
 */
export function numbering(file: ViewFile, order: readonly ViewFile[]): Problem[] {
  const own = order.indexOf(file);
  return all(file.statements, 'RangeVar')
    .filter(({ schemaname }) => schemaname === 'ids')
    .flatMap(({ relname = '', location = 0 }) => {
      const other = order.findIndex(({ defines }) => defines.includes(relname));
      if (other !== -1 && other <= own) return [];
      const message =
        other === -1
          ? `there is no entity ${relname}`
          : `ids.${relname} is filled later, by ${order[other]?.file ?? ''}`;
      const fix =
        other === -1
          ? 'correct the name'
          : 'renumber, so that it stands before this file; where each needs the other, leave one reference out';
      return [problem('numbering', file, location, message, fix)];
    });
}
