/* Stands in for `uvu` in every file that run.ts runs, and records what uvu itself forgets. */
import * as uvu from 'uvu';

/** What was seen of the suites of this process. */
export const seen = {
  /** Is told the name of each test before it starts. */
  onTest: (_name: string): void => {},
  skipped: [] as string[],
  /** Errors of hooks; uvu drops those of `before`. */
  hookErrors: [] as string[],
  /** Sentences, each of which alone makes the file fail. */
  problems: [] as string[],
};

const suites: { title: string; waiting: number }[] = [];

/** As in uvu. */
export function suite<T = uvu.Context>(title = '', context?: T): uvu.uvu.Test<T> {
  return watch(uvu.suite<T>(title, context), title);
}

/** As in uvu. */
export const test: uvu.uvu.Test<uvu.Context> = watch(uvu.test, '');

/** The suites, by title, with tests that nobody asked to run, a sentence for each. */
export function forgotten(): string[] {
  return suites
    .filter(({ waiting }) => waiting > 0)
    .map(({ title, waiting }) => `${waiting} tests of suite "${title}" have no .run() after them`);
}

function watch<T>(inner: uvu.uvu.Test<T>, title: string): uvu.uvu.Test<T> {
  const counted = { title, waiting: 0 };
  suites.push(counted);
  const add = (name: string, handler: uvu.uvu.Callback<T>): void => {
    counted.waiting += 1;
    inner(name, async (context) => {
      seen.onTest(name);
      await handler(context);
    });
  };
  const hook =
    (kind: string, register: (hook: uvu.uvu.Callback<T>) => void, swallow = false) =>
    (handler: uvu.uvu.Callback<T>): void =>
      register(async (context) => {
        try {
          await handler(context);
        } catch (error) {
          const text = `${kind}() of suite "${title}": ${(error as Error)?.stack ?? String(error)}`;
          if (!swallow) {
            seen.hookErrors.push(text);
            throw error;
          }
          seen.problems.push(text);
        }
      });
  return Object.assign(add, {
    only(name: string, handler: uvu.uvu.Callback<T>) {
      seen.problems.push(`leftover .only: "${name}"`);
      add(name, handler);
    },
    skip(name = 'a test without a name') {
      seen.skipped.push(name);
    },
    before: Object.assign(
      hook('before', (each) => inner.before(each)),
      {
        each: hook('before.each', (each) => inner.before.each(each)),
      },
    ),
    after: Object.assign(
      hook('after', (each) => inner.after(each), true),
      {
        each: hook('after.each', (each) => inner.after.each(each)),
      },
    ),
    run() {
      counted.waiting = 0;
      inner.run();
    },
  });
}
