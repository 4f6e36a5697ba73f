/* A shorter list that fails in the same way: delta debugging, for as long as there is time. */

/** Whether a list fails. */
export type Fails<Item> = (list: Item[]) => Promise<boolean>;

/**
 * Leaves out what is not needed for a failure. First the shortest end of the list that fails, by
 * doubling; then ever smaller parts of it, until none can be left out or `isLate`. The list is known to
 * fail; so does what comes back.
 */
export async function shrink<Item>(
  list: readonly Item[],
  fails: Fails<Item>,
  isLate: () => boolean = () => false,
): Promise<Item[]> {
  let shortest = [...list];
  for (let length = 8; length < list.length && !isLate(); length *= 2) {
    const end = list.slice(-length);
    if (!(await fails(end))) continue;
    shortest = end;
    break;
  }
  let parts = 2;
  while (shortest.length > 1 && !isLate()) {
    const smaller = await without(shortest, Math.min(parts, shortest.length), fails, isLate);
    if (smaller !== undefined) {
      shortest = smaller;
      parts = Math.max(parts - 1, 2);
    } else if (parts >= shortest.length) {
      break;
    } else {
      parts *= 2;
    }
  }
  return shortest;
}

/** The list without the first of so many parts that is not needed. */
async function without<Item>(
  list: Item[],
  parts: number,
  fails: Fails<Item>,
  isLate: () => boolean,
): Promise<Item[] | undefined> {
  const size = Math.ceil(list.length / parts);
  // from the end: what fails is the last operation, what it needs is often far before
  for (let start = 0; start < list.length && !isLate(); start += size) {
    const rest = [...list.slice(0, start), ...list.slice(start + size)];
    if (rest.length < list.length && rest.length > 0 && (await fails(rest))) return rest;
  }
  return undefined;
}
