import type { Problem } from '../../runner/engine/text.ts';
import { all, words } from '../../runner/engine/grammar.ts';
import { problem, type ViewFile } from './sql.ts';

const MODIFIED = 'varchar bpchar numeric time timetz timestamp timestamptz'.split(' ');

/**
 * Problem: a cast to varchar(n), char(n) or name cuts what is too long without a word, one to
 * numeric(p,s) or timestamp(p) rounds.
 * Fix: leave the cast out (text fits varchar, numeric fits numeric(p,s); a value that has no place is an
 * error that is seen), or cut with left(), round with round(), and say why.
 */
export function noCut(file: ViewFile): Problem[] {
  return all(file.statements, 'TypeCast')
    .map(({ typeName }) => typeName)
    .filter((type) => {
      const name = words(type?.names).at(-1) ?? '';
      return name === 'name' || (MODIFIED.includes(name) && type?.typmods !== undefined);
    })
    .map((type) => {
      const fix = 'leave the cast out, or cut with left(), round with round(), and say why';
      return problem(
        'no-cut',
        file,
        type?.location ?? 0,
        'this cast cuts or rounds values silently',
        fix,
      );
    });
}
