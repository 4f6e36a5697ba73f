import { readLineage, type Lineage, type Link, unreadable } from './files.ts';
import type { Finding } from './finding.ts';
import { type LeftOut, readLeftOut, staleEntries } from './left-out.ts';
import {
  atColumn,
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
  problems: Finding[];
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
  const schemas = new Set(
    ['public.', ...lists.targetTables.map(({ name }) => name), ...lineage.filled.keys()].map(
      (name) => name.slice(0, name.indexOf('.')),
    ),
  );
  const { leftOut, problems: nameless } = readLeftOut(lists.leftOut, schemas);
  const { problems, counts } = sourceSide(lineage, lists, leftOut);
  const unread = [...new Set(lineage.unread)];
  return {
    problems: [
      ...lineage.problems,
      // of what a file carries nothing is known: all else would be a guess
      ...(unread.length > 0
        ? unread.map(unreadable)
        : [...problems, ...targetSide(lineage, lists, leftOut)]),
      ...nameless,
      ...listProblems(lists),
    ],
    lineage,
    lists,
    counts,
  };
}

function sourceSide({ links, reads }: Lineage, { sourceColumns }: Lists, leftOut: LeftOut[]) {
  const homes = homesOf(links);
  const known = new Set(sourceColumns.map(({ name }) => name));
  const counts = { carried: 0, archived: 0, leftOut: 0, open: 0 };
  const problems: Finding[] = [];
  for (const entry of sourceColumns) {
    const home = homes.get(entry.name);
    if (home !== undefined) counts[home.phase === 'archive' ? 'archived' : 'carried'] += 1;
    else if (leftOut.some(({ side, matches }) => side === 'source' && matches(entry.name))) {
      counts.leftOut += 1;
    } else {
      counts.open += 1;
      const readers = [...reads].filter(([, { columns }]) => columns.has(entry.name));
      const seen = readers.map(([name]) => name).join(', ');
      const message = `${entry.name} is lost: no target column carries it, and it is not archived${
        seen === '' ? '' : ` (only looked at by ${seen})`
      }`;
      const fix = `carry it, archive its table, or list it in ${LEFT_OUT_LIST} with a reason`;
      problems.push(atColumn(SOURCE_LIST, entry, 'are lost', message, fix));
    }
  }
  const stale = staleEntries('source', leftOut, [...known], (name) => {
    const home = homes.get(name);
    return home && `${home.target.table}.${home.target.column} has it`;
  });
  return { problems: [...problems, ...stale, ...unknownColumns(reads, known)], counts };
}

/** Columns that views read and the list does not have. */
function unknownColumns(reads: Lineage['reads'], known: Set<string>): Finding[] {
  return [...reads.values()].flatMap(({ file, columns }) =>
    [...columns]
      .filter((column) => !known.has(column))
      .map((column) => ({
        rule: 'coverage',
        file,
        line: 1,
        column: 1,
        message: `legacy.${column} is not in ${SOURCE_LIST}`,
        fix: 'correct the name, or bring the list up to date: `runner check coverage --write`',
      })),
  );
}

function targetSide({ filled }: Lineage, { targetTables }: Lists, leftOut: LeftOut[]): Finding[] {
  const known = new Set(targetTables.map(({ name }) => name));
  const listed = ({ name }: Entry) =>
    leftOut.some(({ side, matches }) => side === 'target' && matches(name));
  const empty = targetTables
    .filter((entry) => !filled.has(entry.name) && !listed(entry))
    .map((entry) => {
      const fix = `write an entity for it, or list it in ${LEFT_OUT_LIST} with a reason`;
      return atEntry(TARGET_LIST, entry, `no entity fills ${entry.name}`, fix);
    });
  const names = [...new Set([...known, ...filled.keys()])];
  const stale = staleEntries('target', leftOut, names, (name) => {
    const file = filled.get(name);
    return file && `${file} fills it`;
  });
  const unknown = [...filled]
    .filter(([name]) => !known.has(name))
    .map(([name, file]) => ({
      rule: 'coverage',
      file,
      line: 1,
      column: 1,
      message: `${name} is not in ${TARGET_LIST}`,
      fix: 'correct the header, or bring the list up to date: `runner check coverage --write`',
    }));
  return [...empty, ...stale, ...unknown];
}

/** Entries without a reason, or said twice. */
function listProblems({ sourceColumns, targetTables, leftOut }: Lists): Finding[] {
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
