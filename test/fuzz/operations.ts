/* Random operations as data: the same seed, the same list, whatever the databases answer. */
import type { MigrateOptions } from '../migrate.ts';
import { definitionChanges, edits, sourceChanges } from './statements.ts';

/** How a run is asked for. */
export type RunOptions = Pick<MigrateOptions, 'full' | 'jobs' | 'pieceRows' | 'policy'>;

/** One thing that happens to the world. A kill is a run whose connections are cut at a message. */
export type Operation =
  | { kind: 'source' | 'target'; text: string }
  | { kind: 'up'; options: RunOptions }
  | { kind: 'kill'; options: RunOptions; at: 'request' | 'reply'; after: number }
  | { kind: 'down' };

/** A whole number from 0 to below the limit. */
export type Below = (limit: number) => number;

/** A generator of whole numbers: the same for the same seed. */
export function generator(seed: number): Below {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

/**
 * The operations of so many rounds, and a `down` behind the last. Two seeds of four let the
 * application win in one run of three; a row it keeps may hold a unique value that the source gives
 * to another row, which is refused by right: there such values do not leave the rows it edits.
 */
export function operationsOf(seed: number, rounds: number): Operation[] {
  const below = generator(seed);
  const mixed = seed % 4 < 2;
  const list: Operation[] = [{ kind: 'up', options: {} }];
  for (let round = 1; round <= rounds; round += 1) {
    list.push(...roundOf(below, mixed));
    if (below(25) === 0) list.push({ kind: 'down' });
  }
  list.push({ kind: 'up', options: {} }, { kind: 'down' });
  return list;
}

function roundOf(below: Below, mixed: boolean): Operation[] {
  const changes = sourceChanges(below, mixed);
  const list: Operation[] = [];
  const source = (count: number): void => {
    for (let n = count; n > 0; n -= 1) {
      list.push({ kind: 'source', text: changes[below(changes.length)]?.() ?? '' });
    }
  };
  source(1 + below(20));
  if (below(4) === 0) {
    const definitions = definitionChanges(below);
    list.push({ kind: 'source', text: definitions[below(definitions.length)]?.() ?? '' });
  }
  const theirs = edits(below, mixed);
  for (let n = below(12); n > 0; n -= 1) {
    list.push({ kind: 'target', text: theirs[below(theirs.length)]?.() ?? '' });
  }
  const options = (): RunOptions => ({
    full: below(12) === 0,
    jobs: 1 + below(2),
    pieceRows: below(2) === 0 ? 1 : 50,
    policy: mixed && below(3) === 0 ? 'target' : 'source',
  });
  if (below(3) === 0) {
    const at = below(2) === 0 ? 'request' : 'reply';
    list.push({ kind: 'kill', options: options(), at, after: 5 + below(70) });
    if (below(2) === 0) source(1 + below(4));
  }
  list.push({ kind: 'up', options: options() });
  // one more has nothing to do
  if (below(4) === 0) list.push({ kind: 'up', options: {} });
  return list;
}

/** An operation as a line to read. */
export function say(operation: Operation): string {
  switch (operation.kind) {
    case 'source':
    case 'target':
      return `-- ${operation.kind}\n${operation.text};`;
    case 'up':
      return `-- up ${JSON.stringify(operation.options)}`;
    case 'kill':
      return `-- up ${JSON.stringify(operation.options)}, cut before ${operation.at} ${operation.after}`;
    default:
      return '-- down';
  }
}
