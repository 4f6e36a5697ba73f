/*
 * What must become of one row, as the README says it: the second opinion that the engine is compared
 * with. Pure; what a view says comes from a migration from nothing, never from here.
 */
import { COLUMNS, REMOVES, type Row, type Table } from './world.ts';

/** Which side wins where both have changed. */
export type Policy = 'source' | 'target';

/** An image that the run must keep of a row. */
export interface Image {
  reason: string;
  row: Row;
}

/** What we know of one mapped key. */
export interface Known {
  id: string;
  /** What the view said when it was last entered; undefined: we took a value from the row since. */
  said: string | undefined;
  /** What we wrote last, of the columns of the view. */
  written: string;
  /** The row that is there; undefined where the application deleted it. */
  row: Row | undefined;
  /** Nobody but us has written the row since we did. */
  ours: boolean;
  adopted: boolean;
  images: Image[];
  /** Listed as gone. */
  gone: boolean;
}

/** What a run may make of a row. */
export interface Outcome {
  state: Known | undefined;
  images: Image[];
  conflicts: string[];
  /** The row has to be written: with false its version must not change. */
  writes: boolean;
}

/** The columns of the view, as one text. */
export function viewOf(table: Table, row: Row): string {
  return JSON.stringify(COLUMNS[table].map((name) => row[name] ?? null));
}

/** Whether the application has changed what we wrote. */
export function isTouched(table: Table, { row, written }: Known): boolean {
  return row !== undefined && viewOf(table, row) !== written;
}

/**
 * What a run makes of a key: `now` is the row of a migration from nothing, `theirs` a row of the
 * application that it recognises. Several outcomes where it depends on what is read.
 */
export function outcomes(
  table: Table,
  was: Known | undefined,
  now: Row | undefined,
  policy: Policy,
  theirs?: Row,
): Outcome[] {
  if (now === undefined) return was === undefined ? [same(was)] : leaving(table, was, policy);
  return [was === undefined ? arriving(table, now, theirs) : meeting(table, was, now, policy)];
}

function same(state: Known | undefined): Outcome {
  return { state, images: [], conflicts: [], writes: false };
}

function arriving(table: Table, now: Row, theirs: Row | undefined): Outcome {
  const said = viewOf(table, now);
  const state = { said, written: said, images: [], gone: false };
  if (theirs === undefined) {
    const row: Row = { ...now, private: null };
    const made = { ...state, id: row['id'] ?? '', row, ours: true, adopted: false };
    return { ...same(made), writes: true };
  }
  const found = { ...state, id: theirs['id'] ?? '', adopted: true };
  if (viewOf(table, theirs) === said) return same({ ...found, row: theirs, ours: false });
  const images = [{ reason: 'adopted', row: theirs }];
  const row = { ...theirs, ...now, private: theirs['private'] ?? null };
  return { ...same({ ...found, row, ours: true, images }), images, writes: true };
}

function meeting(table: Table, was: Known, now: Row, policy: Policy): Outcome {
  const said = viewOf(table, now);
  const back = { ...was, gone: false };
  if (said === was.said) return same(back);
  const written = { ...back, said, written: said, ours: true };
  if (was.row === undefined) {
    const conflicts = [`deleted ${policy}`];
    if (policy === 'target') return { ...same({ ...back, said }), conflicts };
    const row = { ...now, id: was.id, private: null };
    return { ...same({ ...written, row }), conflicts, writes: true };
  }
  if (viewOf(table, was.row) === said) return same({ ...back, said, written: said });
  const touched = isTouched(table, was);
  const conflicts = touched ? [`changed ${policy}`] : [];
  if (touched && policy === 'target') return { ...same({ ...back, said }), conflicts };
  const first = was.adopted && was.images.length === 0;
  const reason = touched || !first ? 'changed' : 'adopted';
  const images = touched || !was.ours || first ? [{ reason, row: was.row }] : [];
  const row = { ...now, id: was.id, private: was.row['private'] ?? null };
  const state = { ...written, row, images: [...was.images, ...images] };
  return { state, images, conflicts, writes: true };
}

/** Its source row is gone, or is rejected. */
function leaving(table: Table, was: Known, policy: Policy): Outcome[] {
  if (!REMOVES.includes(table)) return [same({ ...was, gone: true })];
  const touched = isTouched(table, was);
  const kept = touched && policy === 'target';
  const conflicts = touched && !was.gone ? [`changed ${policy}`] : [];
  // what was kept once is looked at again only where its range is read
  const unread = was.gone ? [same(was)] : [];
  if (kept) return [{ ...same({ ...was, gone: true }), conflicts }, ...unread];
  const saved = was.row !== undefined && (was.adopted || touched || !was.ours);
  const images =
    saved && was.row !== undefined
      ? [{ reason: was.adopted ? 'removed' : 'changed', row: was.row }]
      : [];
  return [{ state: undefined, images, conflicts, writes: true }, ...unread];
}
