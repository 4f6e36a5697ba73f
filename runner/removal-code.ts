import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import type { RemovalColumn } from './removal.ts';

/** A place in application code that names a column to be removed. */
export interface CodeUse {
  /** Relative to the folder that was searched, forward slashes. */
  file: string;
  line: number;
  table: string;
  column: string;
  kind: 'write' | 'query' | 'type' | 'comment' | 'mention';
  /** False for comments, and where nothing near says that the column's table is meant. */
  blocks: boolean;
}

type Named = Pick<RemovalColumn, 'table' | 'column'>;

const SKIPPED = new Set(['node_modules', '.git', 'dist', 'build', '.next', 'coverage', 'vendor']);
const CODE =
  /\.(?:[cm]?[jt]sx?|vue|svelte|astro|py|rb|php|go|rs|java|kts?|swift|dart|cs|exs?|sql|prisma|graphql|gql)$/;
const MOST_BYTES = 2_000_000;
/** How far above a use its `from('table')` is looked for, in lines. */
const REACH = 12;

/**
 * Finds the columns in application code, by name (snake_case and camelCase), sorted by file and
 * line. A name that only a database would tell apart (`sku` of two tables) blocks when the file
 * names its table too. Throws what the file system throws.
 */
export function findCodeUses(folder: string, columns: readonly Named[]): CodeUse[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => CODE.test(name) && !name.split('/').some((part) => SKIPPED.has(part)))
    .toSorted();
  return names.flatMap((name) => {
    const { size } = statSync(join(folder, name));
    return size > MOST_BYTES ? [] : usesIn(name, readFileSync(join(folder, name), 'utf8'), columns);
  });
}

/** The uses in one file's text. */
export function usesIn(file: string, text: string, columns: readonly Named[]): CodeUse[] {
  const lines = text.split('\n');
  const patterns = columns.map(({ table, column }) => {
    const name = table.slice(table.indexOf('.') + 1);
    return { table, column, name, word: wordOf(column), tableWord: wordOf(name) };
  });
  return lines.flatMap((line, index) =>
    patterns.flatMap(({ table, column, name, word, tableWord }) => {
      if (!word.test(line)) return [];
      const kind = kindOf(line, word, file);
      const near = nearestTable(lines, index);
      const meant = near === undefined ? tableWord.test(text) : near === name;
      return [{ file, line: index + 1, table, column, kind, blocks: kind !== 'comment' && meant }];
    }),
  );
}

/** `home_address`, `homeAddress` and `HomeAddress`, as a whole word. */
function wordOf(name: string): RegExp {
  return new RegExp(`(?<![A-Za-z0-9_])${name.replaceAll('_', '_?')}(?![A-Za-z0-9_])`, 'i');
}

function kindOf(line: string, word: RegExp, file: string): CodeUse['kind'] {
  const name = word.source;
  if (/^\s*(?:\/\/|\/\*|\*|#|--|""")/.test(line)) return 'comment';
  if (/\b(?:insert|update|upsert|set)\b/i.test(line)) return 'write';
  if (/\b(?:select|where|order|eq|neq|filter|is|like|ilike|contains|from|join|and)\b/i.test(line)) {
    return 'query';
  }
  if (
    new RegExp(`${name}["']?\\??\\s*:\\s*(?:string|Json|unknown|any|null|Record|[A-Z])`).test(line)
  ) {
    return 'type';
  }
  if (new RegExp(`${name}["']?\\s*[:=](?!=)`).test(line)) return 'write';
  return file.endsWith('.sql') ? 'query' : 'mention';
}

/** The table of the nearest `from('...')` at or above a line, if one is near. */
function nearestTable(lines: string[], index: number): string | undefined {
  for (let at = index; at >= 0 && at > index - REACH; at -= 1) {
    const found = /\.from\(\s*["'`](\w+)["'`]/.exec(lines[at] ?? '')?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}
