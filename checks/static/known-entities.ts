import type { Node, SelectStmt } from 'libpg-query';
import type { Problem } from '../../runner/engine/text.ts';
import { all, selectOf, words } from '../../runner/engine/grammar.ts';
import { offsetOf, problem, type SqlFile } from './sql.ts';

/** Functions of sql/engine whose first argument is the name of an entity. */
const FIRST = new Set(
  `differing_values is_checked money_differences unmapped_rows wrong_legacy_ids
   wrong_references`.split(/\s+/),
);
/** Functions whose arguments are all names of entities. */
const EVERY = new Set(['completed_together']);

/**
 * Problem: a data check asks about an entity that no file defines: it looks at nothing.
 * Fix: write the name as the file has it, `people` for `30_people.sql`.
 */
export function knownEntities(sql: SqlFile, entities: ReadonlySet<string>): Problem[] {
  return all(sql.statements, 'FuncCall')
    .flatMap((call) => {
      const [schema, name = ''] = words(call.funcname);
      if (schema !== 'migration') return [];
      return (call.args ?? []).slice(0, FIRST.has(name) ? 1 : EVERY.has(name) ? undefined : 0);
    })
    .flatMap((argument) => ('ColumnRef' in argument ? valuesOf(sql, argument) : [argument]))
    .flatMap((node) => {
      const name = textOf(node);
      if (name === undefined || entities.has(name)) return [];
      const message = `no file defines an entity ${name}`;
      const fix = 'name the entity as its file does: `people` for `30_people.sql`';
      return [problem('known-entities', sql, offsetOf(node), message, fix)];
    });
}

/** What a column of a list `(values ...) as alias (column, ...)` holds; nothing for other columns. */
function valuesOf(sql: SqlFile, column: Extract<Node, { ColumnRef: unknown }>): Node[] {
  const [alias, name = ''] = words(column.ColumnRef.fields);
  return all(sql.statements, 'RangeSubselect')
    .filter((from) => from.alias?.aliasname === alias)
    .flatMap((from) => {
      const index = words(from.alias?.colnames).indexOf(name);
      return rowsOf(selectOf(from.subquery)).flatMap((row) => row[index] ?? []);
    });
}

function rowsOf(select: SelectStmt | undefined): Node[][] {
  return (select?.valuesLists ?? []).map((row) => ('List' in row ? (row.List.items ?? []) : []));
}

function textOf(node: Node): string | undefined {
  if ('TypeCast' in node) return node.TypeCast.arg && textOf(node.TypeCast.arg);
  return 'A_Const' in node ? node.A_Const.sval?.sval : undefined;
}
