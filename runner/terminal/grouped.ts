import type { Problem } from '../engine/text.ts';

/** Problems of one cause: the first of them, and how many more there are. */
export interface Group {
  shown: Problem[];
  more: number;
}

/** Lines enough for a screen. */
const SHOWN = 20;
/** So many examples of a cause say what it is. */
const EXAMPLES = 3;

/**
 * Problems by their cause (rule and fix), in the order in which the causes appear: of each a few, at most
 * twenty of all. With `all` every one of them.
 */
export function grouped(problems: readonly Problem[], all: boolean): Group[] {
  const causes = new Map<string, Problem[]>();
  for (const problem of problems) {
    const cause = `${problem.rule}\n${problem.fix}`;
    causes.set(cause, [...(causes.get(cause) ?? []), problem]);
  }
  if (all || problems.length <= SHOWN)
    return problems.map((problem) => ({ shown: [problem], more: 0 }));
  let left = SHOWN;
  const each = Math.max(1, Math.min(EXAMPLES, Math.floor(SHOWN / causes.size)));
  return [...causes.values()].map((found) => {
    const shown = found.slice(0, Math.min(each, left));
    left -= shown.length;
    return { shown, more: found.length - shown.length };
  });
}
