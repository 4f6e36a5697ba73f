import type { Problem } from '../../runner/engine/text.ts';
import { readLineage, type Lineage, type Link, unreadable } from './files.ts';
import {
  atEntry,
  LEFT_OUT_LIST,
  readLists,
  SOURCE_LIST,
  TARGET_LIST,
  type Entry,
} from './lists.ts';
import type { Lists } from './lists.ts';

/** The coverage proof of a project. */
export interface Coverage {
  problems: Problem[];
  lineage: Lineage;
  lists: Lists;
  /** Source columns by what becomes of them; a column is counted once, for the first that holds. */
  counts: { carried: number; archived: number; leftOut: number; open: number };
}

/**
 * Proves from the files alone that every source column is carried by a target column, archived or left out with
 * a reason, and that every target table is filled or has a reason not to be. Carried means: its value or, for a
 * reference, the id it became is in an output column (carries.ts has the rule); what is only looked at in a join,
 * a condition, filter, missing or reject is not. Entries of the lists that are not true are findings, too.
 */
export async function readCoverage(root: string): Promise<Coverage> {
  const lineage = await readLineage(root);
  const lists = readLists(root);
  const { problems, counts } = sourceSide(lineage, lists);
  const unread = [...new Set(lineage.unread)];
  return {
    problems: [
      ...lineage.problems,
      // of what a file carries nothing is known: all else would be a guess
      ...(unread.length > 0
        ? unread.map(unreadable)
        : [...problems, ...targetSide(lineage, lists)]),
      ...listProblems(lists),
    ],
    lineage,
    lists,
    counts,
  };
}

function sourceSide({ links, reads }: Lineage, { sourceColumns, leftOut }: Lists) {
  const homes = homesOf(links);
  const known = new Set(sourceColumns.map(({ name }) => name));
  const listed = new Set(leftOut.map(({ name }) => name));
  const counts = { carried: 0, archived: 0, leftOut: 0, open: 0 };
  const problems: Problem[] = [];
  for (const entry of sourceColumns) {
    const home = homes.get(entry.name);
    if (home !== undefined) counts[home.phase === 'archive' ? 'archived' : 'carried'] += 1;
    else if (listed.has(`legacy.${entry.name}`) || listed.has(`legacy.${tableOf(entry.name)}`)) {
      counts.leftOut += 1;
    } else {
      counts.open += 1;
      const readers = [...reads].filter(([, { columns }]) => columns.has(entry.name));
      const seen = readers.map(([name]) => name).join(', ');
      const message = `${entry.name} is lost: no target column carries it, and it is not archived${
        seen === '' ? '' : ` (only looked at by ${seen})`
      }`;
      const fix = `carry it, archive its table, or list it in ${LEFT_OUT_LIST} with a reason`;
      problems.push(atEntry(SOURCE_LIST, entry, message, fix));
    }
  }
  for (const entry of leftOut.filter(({ name }) => name.startsWith('legacy.'))) {
    const name = entry.name.slice('legacy.'.length);
    const meant = name.includes('.')
      ? [name].filter((column) => known.has(column))
      : [...known].filter((column) => tableOf(column) === name);
    const home = meant.flatMap((column) => homes.get(column) ?? [])[0];
    if (meant.length === 0) {
      const fix = `take it out, or correct the name (${SOURCE_LIST} has them all)`;
      problems.push(atEntry(LEFT_OUT_LIST, entry, `${entry.name} is not in the source`, fix));
    } else if (home !== undefined) {
      const message = `${entry.name} is not left out: ${home.target.table}.${home.target.column} has it`;
      problems.push(atEntry(LEFT_OUT_LIST, entry, message, 'take the entry out'));
    }
  }
  return { problems: [...problems, ...unknownColumns(reads, known)], counts };
}

/** Columns that views read and the list does not have. */
function unknownColumns(reads: Lineage['reads'], known: Set<string>): Problem[] {
  return [...reads.values()].flatMap(({ file, columns }) =>
    [...columns]
      .filter((column) => !known.has(column))
      .map((column) => ({
        rule: 'coverage',
        file,
        line: 1,
        column: 1,
        message: `legacy.${column} is not in ${SOURCE_LIST}`,
        fix: 'correct the name, or add the column to the list',
      })),
  );
}

function targetSide({ filled }: Lineage, { targetTables, leftOut }: Lists): Problem[] {
  const known = new Set(targetTables.map(({ name }) => name));
  const listed = new Set(leftOut.map(({ name }) => name));
  const empty = targetTables
    .filter(({ name }) => !filled.has(name) && !listed.has(`public.${name}`))
    .map((entry) => {
      const fix = `write an entity for it, or list it in ${LEFT_OUT_LIST} with a reason`;
      return atEntry(TARGET_LIST, entry, `no entity fills public.${entry.name}`, fix);
    });
  const stale = leftOut
    .filter(({ name }) => name.startsWith('public.'))
    .flatMap((entry) => {
      const name = entry.name.slice('public.'.length);
      const file = filled.get(name);
      if (file !== undefined) {
        const message = `${entry.name} is not left out: ${file} fills it`;
        return [atEntry(LEFT_OUT_LIST, entry, message, 'take the entry out')];
      }
      if (known.has(name)) return [];
      const fix = `take it out, or correct the name (${TARGET_LIST} has them all)`;
      return [atEntry(LEFT_OUT_LIST, entry, `${entry.name} is not in the target`, fix)];
    });
  const unknown = [...filled]
    .filter(([name]) => !known.has(name))
    .map(([name, file]) => ({
      rule: 'coverage',
      file,
      line: 1,
      column: 1,
      message: `public.${name} is not in ${TARGET_LIST}`,
      fix: 'correct the header, or add the table to the list',
    }));
  return [...empty, ...stale, ...unknown];
}

/** Entries without a reason, said twice, or of no known form. */
function listProblems({ sourceColumns, targetTables, leftOut }: Lists): Problem[] {
  const twice = (file: string, entries: Entry[]) =>
    entries
      .filter(({ name }, index) => entries.findIndex((other) => other.name === name) < index)
      .map((entry) => atEntry(file, entry, `${entry.name} stands twice`, 'keep one of the two'));
  return [
    ...twice(SOURCE_LIST, sourceColumns),
    ...twice(TARGET_LIST, targetTables),
    ...twice(LEFT_OUT_LIST, leftOut),
    ...leftOut
      .filter(({ reason }) => reason === '')
      .map((entry) =>
        atEntry(LEFT_OUT_LIST, entry, `${entry.name} has no reason`, 'say why, after two blanks'),
      ),
    ...leftOut
      .filter(({ name }) => !/^(legacy\.[^.]+(\.[^.]+)?|public\.[^.]+)$/.test(name))
      .map((entry) => {
        const fix = 'write legacy.<table>.<column>, legacy.<table> or public.<table>';
        return atEntry(LEFT_OUT_LIST, entry, `${entry.name} names nothing`, fix);
      }),
  ];
}

/** One place that carries each source column; an entity before the archive. */
function homesOf(links: Link[]): Map<string, Link> {
  const homes = new Map<string, Link>();
  for (const link of links) {
    const name = `${link.source.table}.${link.source.column}`;
    if (link.how !== 'decides' && !homes.has(name)) homes.set(name, link);
  }
  return homes;
}

function tableOf(column: string): string {
  return column.slice(0, column.indexOf('.'));
}
