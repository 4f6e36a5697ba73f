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

/** One at a time, in the order in which they ask. */
export function queueing(): <T>(body: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (body) => {
    const mine = last.then(body, body);
    last = mine.catch(() => {});
    return mine;
  };
}
