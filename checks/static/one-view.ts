import type { Problem } from '../../runner/engine/text.ts';
import { offsetOf, problem, startOf, type ViewFile } from './sql.ts';

/**
 * Problem: an entity file holds something else than one plain `create view transform.<entity>`. The runner
 * creates exactly that view and a reviewer reads nothing else.
 * Fix: one file, one view, named after the file; helpers belong into sql/engine.
 */
export function oneView(file: ViewFile): Problem[] {
  const name = `transform.${file.name}`;
  const fix = `write exactly one statement: \`create view ${name} as select ...\``;
  const report = (offset: number, message: string) =>
    problem('one-view', file, offset, message, fix);
  const [first, second] = file.statements;
  if (file.failure !== null) return [];
  if (first === undefined) return [report(0, 'the file holds no statement')];
  if (second !== undefined) return [report(startOf(file, second), 'a second statement')];

  const start = startOf(file, first);
  const view = file.view?.view;
  if (file.view === undefined || view === undefined) return [report(start, 'not a `create view`')];
  if (file.view.replace === true) return [report(start, '`or replace` hides a view defined twice')];
  if (view.relpersistence !== 'p') return [report(start, 'the view is temporary')];
  if (`${view.schemaname ?? ''}.${view.relname ?? ''}` !== name) {
    return [report(offsetOf({ view }), `the view is not called ${name}`)];
  }
  if (file.view.aliases !== undefined) {
    return [
      report(offsetOf({ view }), 'a column list before `as` renames the columns out of sight'),
    ];
  }
  return [];
}
