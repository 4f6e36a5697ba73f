import type { Problem } from '../../runner/engine/text.ts';
import { all, words } from '../../runner/engine/grammar.ts';
import { problem, type ViewFile } from './sql.ts';

/**
 * Problem: a cast to varchar(n), char(n) or name cuts what is too long without a word.
 * Fix: leave the cast out (text fits varchar; too long is an error that is seen), or cut with left() and
 * say why.
 */
export function noCut(file: ViewFile): Problem[] {
  return all(file.statements, 'TypeCast')
    .map(({ typeName }) => typeName)
    .filter((type) => {
      const name = words(type?.names).at(-1) ?? '';
      return (
        name === 'name' || (['varchar', 'bpchar'].includes(name) && type?.typmods !== undefined)
      );
    })
    .map((type) => {
      const fix = 'leave the cast out, or cut with left() and say why';
      return problem(
        'no-cut',
        file,
        type?.location ?? 0,
        'this cast cuts long values silently',
        fix,
      );
    });
}
