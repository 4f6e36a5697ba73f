import { readTerminal } from '../config.ts';

/* What the two streams are: each has a width and colours of its own. */

/** Standard output or standard error. */
export type Stream = 'stdout' | 'stderr';

/** Columns where there is no terminal that says another number. */
const WIDTH = 80;
const settings = readTerminal();

/** Cells that lines are laid out for: those of the terminal now; without one COLUMNS, or 80. */
export function columnsOf(stream: Stream): number {
  const { isTTY, columns } = process[stream];
  if (isTTY && columns > 0) return columns;
  return settings.columns ?? WIDTH;
}

/** Cells that nothing may go beyond: without a terminal and COLUMNS a line may be as long as it is. */
export function roomOf(stream: Stream): number {
  return process[stream].isTTY || settings.columns !== undefined ? columnsOf(stream) : Infinity;
}

/** Whether this stream shows colours: NO_COLOR and FORCE_COLOR decide, then whether it is a terminal. */
export function isColoured(stream: Stream): boolean {
  return settings.color ?? (process[stream].isTTY && !settings.dumb);
}

/** Whether lines of this stream may move: a terminal, and nobody who keeps what it shows. */
export function isMoving(stream: Stream): boolean {
  return process[stream].isTTY && !settings.ci && !settings.dumb;
}
