/* Which releases are tried with which: the one list. */
import { type Major, majorOf } from '../../runner/embedded/releases.ts';
import type { Majors } from '../pair.ts';

/** A source and a target release. */
export type MatrixPair = { source: Major; target: Major };

/** Releases that are supported and that no npm package brings: named, not tried. */
export const NOT_TRIED = ['9.5', '9.6'];

/** Every source release with the target of today, every target release with the oldest and it. */
export const PAIRS: MatrixPair[] = [
  { source: 10, target: 17 },
  { source: 11, target: 17 },
  { source: 12, target: 17 },
  { source: 13, target: 17 },
  { source: 14, target: 17 },
  { source: 15, target: 17 },
  { source: 16, target: 17 },
  { source: 17, target: 17 },
  { source: 18, target: 17 },
  { source: 10, target: 15 },
  { source: 17, target: 15 },
  { source: 10, target: 16 },
  { source: 17, target: 16 },
  { source: 10, target: 18 },
  { source: 17, target: 18 },
];

/** The releases the tests of this folder are to use: MATRIX_SOURCE, MATRIX_TARGET; default 17. */
export function majorsOfRun(): { sourceMajor: Major; targetMajor: Major } & Majors {
  const [sourceMajor, targetMajor] = ['MATRIX_SOURCE', 'MATRIX_TARGET'].map((name) => {
    const text = process.env[name] ?? '17';
    const major = majorOf(text);
    if (major === undefined) throw new Error(`${name}: there are no binaries of release ${text}`);
    return major;
  });
  return { sourceMajor: sourceMajor ?? 17, targetMajor: targetMajor ?? 17 };
}
