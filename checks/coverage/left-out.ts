import { type Finding } from './finding.ts';
import { atEntry, type Entry, LEFT_OUT_LIST, SOURCE_LIST, TARGET_LIST } from './lists.ts';

/** An entry of left-out.txt that can be read: which names of one side it means. */
export interface LeftOut {
  entry: Entry;
  side: 'source' | 'target';
  /** It has a `*`: what of its names has a place is no business of it. */
  isWild: boolean;
  /** Of the source `table.column`, of the target `schema.table`. */
  matches: (name: string) => boolean;
}

/** Reads entries; those that name nothing are in `problems`. */
export function readLeftOut(
  entries: readonly Entry[],
  schemas: ReadonlySet<string>,
): { leftOut: LeftOut[]; problems: Finding[] } {
  const leftOut: LeftOut[] = [];
  const problems: Finding[] = [];
  for (const entry of entries) {
    const parts = entry.name.split('.');
    const [first = ''] = parts;
    const side = schemas.has(first) ? 'target' : 'source';
    const named = side === 'source' && first === 'legacy' ? parts.slice(1) : parts;
    // of a target a table is left out as a whole
    if (side === 'target' && named[2] === '*') named.pop();
    if (named.includes('') || named.length > 2 || (side === 'target' && named.length < 2)) {
      const fix = 'write legacy.<table>.<column>, legacy.<table> or <schema>.<table> of the target';
      problems.push(atEntry(LEFT_OUT_LIST, entry, `${entry.name} names nothing`, fix));
      continue;
    }
    const [table = '', column = '*'] = named;
    const pattern = new RegExp(`^${wild(table)}[.]${wild(column)}$`, 's');
    const isWild = named.some((part) => part.includes('*'));
    leftOut.push({ entry, side, isWild, matches: (name) => pattern.test(name) });
  }
  return { leftOut, problems };
}

/**
 * Entries of one side that are not true: they match nothing, or what has a place (`placeOf` says which, in
 * words); with a wildcard, nothing else.
 */
export function staleEntries(
  side: LeftOut['side'],
  leftOut: readonly LeftOut[],
  names: readonly string[],
  placeOf: (name: string) => string | undefined,
): Finding[] {
  const list = side === 'source' ? SOURCE_LIST : TARGET_LIST;
  return leftOut
    .filter((each) => each.side === side)
    .flatMap(({ entry, isWild, matches }) => {
      const report = (message: string, fix: string) => [
        atEntry(LEFT_OUT_LIST, entry, `${entry.name} ${message}`, fix),
      ];
      const meant = names.filter(matches);
      if (meant.length === 0) {
        const fix = `take it out, or correct the name (${list} has them all)`;
        return report(`${isWild ? 'matches nothing' : 'is not'} in the ${side}`, fix);
      }
      const places = meant.map(placeOf);
      if (isWild && places.every((place) => place !== undefined)) {
        return report('leaves nothing out: all that it matches has a place', 'take the entry out');
      }
      const place = isWild ? undefined : places.find((each) => each !== undefined);
      return place === undefined ? [] : report(`is not left out: ${place}`, 'take the entry out');
    });
}

function wild(part: string): string {
  return part.replace(/[\\^$+?.()|[\]{}]/g, '\\$&').replaceAll('*', '.*');
}
