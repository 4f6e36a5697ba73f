import type { Problem } from '../../runner/engine/text.ts';
import { outputs, problem, type ViewFile } from './sql.ts';

/**
 * Problem: the view's columns are the target's columns by name. One without a name of its own, or with the
 * name of another, is a mapping nobody can read; `id` belongs to the engine, but with `-- id  source`.
 * Fix: `expression as target_column`, each name once, no `id`, legacy_key first and reject last.
 */
export function outputColumns(file: ViewFile): Problem[] {
  const columns = outputs(file.spine[0]);
  const seen = new Set<string>();
  const problems = columns.flatMap(({ name, offset }, index) => {
    const report = (message: string, fix: string) => [
      problem('output-columns', file, offset, message, fix),
    ];
    if (name === null) return report('a column has no name', 'write `expression as target_column`');
    if (name === '') return []; // `*`: a rule of its own
    if (seen.has(name)) return report(`${name} stands twice`, 'keep one of the two');
    seen.add(name);
    if (name === 'id' && file.entity?.ownIds !== true) {
      const fix = 'leave it out; or say `-- id  source`, where it is a uuid of the source row';
      return report('the column id is the engine’s', fix);
    }
    if (name === 'reject' && index < columns.length - 1) {
      return report('reject is not the last column', 'move it to the end');
    }
    if (name === 'legacy_key' && index > 0) {
      return report('legacy_key is not the first column', 'move it to the beginning');
    }
    return [];
  });
  const first = columns[0];
  if (first !== undefined && !columns.some(({ name }) => name === 'legacy_key')) {
    const fix = 'begin with `<driving table>.id as legacy_key`';
    problems.push(
      problem('output-columns', file, first.offset, 'there is no column legacy_key', fix),
    );
  }
  return problems;
}
