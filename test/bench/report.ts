import type { Found } from './contenders.ts';

/** What --json prints; null = not measured. */
export interface Report {
  ratios: Record<string, number | null>;
  seconds: number | null;
  runnerMb: number;
}

/** Who is measured by his own time: the toolkit's is divided by it. */
const OTHERS = ['eltKeys', 'eltDropped', 'rows500', 'pgcopydb'];
/** Parts of the toolkit: their time is divided by that of the first run. */
const OWN = ['nothing', 'random1', 'appended1', 'check', 'verify', 'delay50'];

/** Medians over the rounds, and their ratios. */
export function reportOf({ seconds, runs }: Found): Report {
  const of = (key: string): number | null => median(seconds.get(key) ?? []);
  const divided = (above: number | null, below: number | null): number | null =>
    above === null || below === null ? null : Number((above / below).toFixed(4));
  const first = of('first');
  return {
    ratios: Object.fromEntries([
      ...OTHERS.map((key) => [key, divided(first, of(key))] as const),
      ...OWN.map((key) => [key, divided(of(key), first)] as const),
    ]),
    seconds: first === null ? null : Number(first.toFixed(2)),
    runnerMb: Math.max(0, ...runs.map(({ runner }) => runner)),
  };
}

/** The same for people, and the invocations of the runner one by one. */
export function printReport(found: Found): void {
  const { ratios } = reportOf(found);
  const first = median(found.seconds.get('first') ?? []) ?? 0;
  const runs = [...new Set(found.runs.map(({ key }) => key))].flatMap((key) => {
    const all = found.runs.filter((run) => run.key === key);
    const [one] = all;
    if (one === undefined) return [];
    const seconds = median(all.map((run) => run.seconds)) ?? 0;
    const row = {
      seconds: seconds.toFixed(1),
      ratio: `${((100 * seconds) / first).toFixed(1)} %`,
      'rows read': one.read,
      'rows changed': one.changed,
      'runner MB': Math.max(...all.map(({ runner }) => runner)),
      'largest backend MB': Math.max(...all.map(({ backend }) => backend)),
    };
    return [[one.what, row] as const];
  });
  console.table(Object.fromEntries(runs));
  const seconds = [...found.seconds].map(([key, all]) => {
    const row = {
      'median seconds': (median(all) ?? 0).toFixed(1),
      'each round': all.map((each) => each.toFixed(1)).join(' '),
      ratio: ratios[key] ?? '',
      meaning: OTHERS.includes(key)
        ? 'first run of the toolkit / this'
        : OWN.includes(key)
          ? 'this / first run of the toolkit'
          : '',
    };
    return [key, row] as const;
  });
  console.table(Object.fromEntries(seconds));
}

function median(numbers: number[]): number | null {
  const sorted = numbers.toSorted((a, b) => a - b);
  const [low, high] = [(sorted.length - 1) >> 1, sorted.length >> 1];
  const [a, b] = [sorted[low], sorted[high]];
  return a === undefined || b === undefined ? null : (a + b) / 2;
}
