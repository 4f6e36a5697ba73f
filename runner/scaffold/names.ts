/* How alike two names are. */

/** `firstName` and `First Name` as `first_name`. */
export function snake(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .replace(/^(?=\d)/, 'n');
}

/** A table's name as one of its rows is called. */
export function singular(name: string): string {
  if (name.endsWith('ies')) return `${name.slice(0, -3)}y`;
  if (/(ss|x|ch|sh)es$/.test(name)) return name.slice(0, -2);
  return /[^su]s$/.test(name) ? name.slice(0, -1) : name;
}

/** From 0 to 1; 1 = the same but for capitals and underscores. */
export function likeness(one: string, other: string): number {
  const [a, b] = [squashed(one), squashed(other)];
  const longest = Math.max(a.length, b.length);
  return longest === 0 ? 0 : 1 - distance(a, b) / longest;
}

/** The same for tables: plurals are singulars, and the source may put words before (`shop_customer`). */
export function tableLikeness(source: string, target: string): number {
  const words = snake(source).split('_');
  const wanted = singular(snake(target));
  return Math.max(
    ...words.map(
      (_, at) => likeness(singular(words.slice(at).join('_')), wanted) - Math.min(at, 1) * 0.05,
    ),
  );
}

function squashed(name: string): string {
  return snake(name).replaceAll('_', '');
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, letter] of a.split('').entries()) {
    const next = [i + 1];
    for (const [j, other] of b.split('').entries()) {
      const replaced = (row[j] ?? 0) + Number(letter !== other);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
