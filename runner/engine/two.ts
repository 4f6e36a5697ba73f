import { failureOf, type Session } from '../database.ts';

/** How a second session comes to help, and how both are stopped. */
export interface Helped {
  /** Calls `help` with a second session that is ready, if there is one; ends when that does. */
  beside: (help: (second: Session) => Promise<void>) => Promise<void>;
  /** Stops the statements that run, in all sessions. */
  cancel: () => void;
}

/**
 * Works through a list, in this session and in a second one, if there is one: whoever is free takes the
 * next. What fails in either stops both, and is thrown.
 */
export async function inTwo<Item>(
  session: Session,
  items: readonly Item[],
  work: (reader: Session, item: Item) => Promise<void>,
  { beside, cancel }: Helped,
): Promise<void> {
  const queue = [...items];
  let failure: unknown;
  const drain = async (reader: Session): Promise<void> => {
    while (failure === undefined) {
      const item = queue.shift();
      if (item === undefined) return;
      try {
        await work(reader, item);
      } catch (error) {
        // the source may allow one session and refuse the other
        if (reader !== session && failureOf(error)?.code === '08001') {
          queue.unshift(item);
          return;
        }
        failure ??= error;
        cancel();
      }
    }
  };
  const ends = await Promise.allSettled([drain(session), beside(drain)]);
  await drain(session);
  for (const end of ends) if (end.status === 'rejected') failure ??= end.reason;
  if (failure !== undefined) throw failure;
}

/**
 * Ways that one at a time can take, in the order in which they ask: whoever asks gets the first that is
 * free. What fails on another way than the first because that `isClosed` is done again on one that is left;
 * nobody takes that way any more.
 */
export function sharing<Way>(
  ways: readonly [Way, ...Way[]],
  isClosed: (error: unknown) => boolean,
): <T>(body: (way: Way) => Promise<T>) => Promise<T> {
  const [first] = ways;
  const free = [...ways];
  const waiting: ((way: Way) => void)[] = [];
  const leave = (way: Way): void => {
    const next = waiting.shift();
    if (next === undefined) free.unshift(way);
    else next(way);
  };
  const share = async <T>(body: (way: Way) => Promise<T>): Promise<T> => {
    const way = free.shift() ?? (await new Promise<Way>((resolve) => waiting.push(resolve)));
    try {
      const result = await body(way);
      leave(way);
      return result;
    } catch (error) {
      if (way !== first && isClosed(error)) return share(body);
      leave(way);
      throw error;
    }
  };
  return share;
}
