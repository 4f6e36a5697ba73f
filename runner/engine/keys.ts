import { named } from '../quote.ts';
import { type HeaderLine, valueOf } from './header.ts';
import { at, positionAt, type Problem } from './text.ts';

/*
 * The keys of source tables, as the files say them: which columns tell the rows of a table apart.
 */

/** A file that reads a source table row by row. */
interface Keyed {
  file: string;
  text: string;
  source: string | null;
  key: string[];
}

/** The columns that tell rows of the source table apart: `-- key  film_id`, otherwise `id`. */
export function keyOf(header: readonly HeaderLine[]): string[] {
  return valueOf(header, 'key')?.split(/\s*,\s*/) ?? ['id'];
}

/** The keys of source tables, by table: what the link is made with. */
export function keysOf(files: readonly Keyed[]): Record<string, string[]> {
  return Object.fromEntries(
    files.flatMap(({ source, key }) => (source === null ? [] : [[source, key]])),
  );
}

/** Rows of a source table are told apart in one way, whoever reads them. */
export function keyConflicts(files: readonly Keyed[]): Problem[] {
  const first = new Map<string, Keyed>();
  return files.flatMap((each) => {
    const { file, text, source, key } = each;
    if (source === null) return [];
    const known = first.get(source) ?? each;
    first.set(source, known);
    if (known.key.join() === key.join()) return [];
    const { line, column } = positionAt(text, Math.max(text.search(/^-- (key|source)/m), 0));
    const others = `${known.key.join(', ')} in ${known.file}`;
    const message = `the key of ${source} is ${key.join(', ')} here, and ${others}`;
    return [at('header', file, line, column, message, 'a table has one key: say the same in both')];
  });
}

const NUMBERED = /\bmigration\s*\.\s*key_number\s*\((?:[^()]|\([^()]*\))*\)\s+as\s+legacy_key\b/i;

/** The `legacy_key` of a view, whose text has no comments and literals, is a number made of the key. */
export function isNumbered(code: string): boolean {
  return NUMBERED.test(code);
}

/** The number by which a row with this key is known: as it is, or made of the value or the values. */
export function keyNumber(values: readonly string[], areWhole: boolean): string {
  if (values.length > 1) return `migration.key_number(row(${values.join(', ')}))`;
  return areWhole ? (values[0] ?? '') : `migration.key_number(${values[0]})`;
}

/** The key of a source table over an alias of it: `x.id`, or `migration.key_number(row(x.a, x.b))`. */
export function keyText(alias: string, columns: readonly string[], isNumber: boolean): string {
  return keyNumber(
    columns.map((column) => `${alias}.${named(column)}`),
    isNumber,
  );
}
