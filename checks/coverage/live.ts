import type { Problem } from '../../runner/engine/text.ts';
import type { Finding } from './finding.ts';
import type { Lineage } from './files.ts';
import {
  atColumn,
  atEntry,
  LEFT_OUT_LIST,
  SOURCE_LIST,
  TARGET_LIST,
  type Entry,
  type Lists,
} from './lists.ts';

/** What the databases say, as read by runner/coverage.ts. */
export interface LiveFacts {
  /** Columns of the source's tables, as `table.column`. */
  sourceColumns: string[];
  /** Tables of the target's schemas that matter, as `schema.table`. */
  targetTables: string[];
  /** By entity, for views that stem from the file as it is: the source columns pg_depend knows. */
  dependencies: Map<string, Set<string>>;
}

/**
 * Compares the reviewed lists with both databases, and what the parser found in each view with what PostgreSQL
 * itself says the view depends on. A column the parser did not see could be lost unseen; one it sees and
 * PostgreSQL does not would be a proof about nothing. Pure.
 */
export function liveProblems(lineage: Lineage, lists: Lists, live: LiveFacts): Finding[] {
  return [
    ...listAgainst(SOURCE_LIST, lists.sourceColumns, live.sourceColumns, 'source'),
    ...listAgainst(TARGET_LIST, lists.targetTables, live.targetTables, 'target'),
    ...[...live.dependencies].flatMap(([entity, depends]) => {
      const parsed = lineage.reads.get(entity);
      return parsed === undefined ? [] : differences(parsed, depends);
    }),
  ];
}

function listAgainst(file: string, listed: Entry[], names: string[], database: string): Finding[] {
  const known = new Set(listed.map(({ name }) => name));
  const there = new Set(names);
  const report = (entry: Entry, many: string, message: string, fix: string) =>
    database === 'source'
      ? atColumn(file, entry, many, message, fix)
      : atEntry(file, entry, message, fix);
  return [
    ...names
      .filter((name) => !known.has(name))
      .map((name) => {
        const fix = `\`runner check coverage --write\` adds it: carry it, archive it or give a reason in ${LEFT_OUT_LIST}`;
        const place = { name, reason: '', line: 1, column: 1 };
        const message = `${name} is new in the ${database}: nobody decided on it`;
        return report(place, `are new in the ${database}`, message, fix);
      }),
    ...listed
      .filter(({ name }) => !there.has(name))
      .map((entry) => {
        const fix = 'take it out of the list, and see whether a view mentions it';
        const many = `are not in the ${database}`;
        return report(entry, many, `${entry.name} is not in the ${database}`, fix);
      }),
  ];
}

function differences(
  { file, columns }: { file: string; columns: Set<string> },
  depends: Set<string>,
): Problem[] {
  const missed = [...depends].filter((column) => !columns.has(column));
  const surplus = [...columns].filter((column) => !depends.has(column));
  const report = (message: string) => ({
    rule: 'coverage',
    file,
    line: 1,
    column: 1,
    message,
    fix: 'the lineage of this view cannot be trusted: correct checks/coverage/lineage.ts',
  });
  return [
    ...missed.map((column) =>
      report(`pg_depend says that the view reads legacy.${column}, the parser does not`),
    ),
    ...surplus.map((column) =>
      report(`the parser says that the view reads legacy.${column}, pg_depend does not`),
    ),
  ];
}
