/*
 * What must be in the target after each run: rows, versions of rows that nobody had to write, images,
 * conflicts and rejects, all of them.
 *
 * Differences from a migration from nothing that are accepted, and no others:
 *
 * - what the application changed, while the source says what it said (and while it says something else,
 *   where the application wins); a row that it deleted, likewise
 * - a row that was kept where the application wins, and that it then put back as we wrote it: it waits for
 *   the next change of its source, which was answered once
 * - columns that no view supplies: always the application's
 * - a row that is gone from the source and kept: as it was, but that it gives a unique value up to a living
 *   row that needs it, with an image of reason `released`
 * - a row that was to be removed and was kept, since the application had changed it and wins: it goes, or
 *   stays, when the source wins later, depending on whether its range is read (it is listed)
 * - after a run that was ended in the middle: what the source said then may have been entered, row by row
 */
import type { Sql } from 'postgres';
import {
  type Image,
  isTouched,
  type Known,
  type Outcome,
  outcomes,
  type Policy,
  viewOf,
} from './model.ts';
import {
  ADOPTS,
  fromNothing,
  openRejects,
  type Row,
  type Stored,
  storedRows,
  type Table,
  TABLES,
  type World,
} from './world.ts';

/** The columns of a unique value that a row which is gone gives up. */
const RELEASED = ['login', 'mail'];

/** What does not hold; `what` tells one kind of it from another. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly what: string;
  constructor(what: string, message: string) {
    super(`${what}: ${message}`);
    this.what = what;
  }
}

/** What the source says to a run, and which side wins in it. */
interface Stage {
  rows: Map<Table, Map<string, Row>>;
  rejects: string[];
  policy: Policy;
}

/** Figures of what was compared. */
export interface Compared {
  rows: number;
  images: number;
  conflicts: number;
}

/** Everything that is known about the target, table by table. */
export class Oracle {
  readonly known = new Map<Table, Map<string, Known>>();
  /** Rows of the application that are in no id map, by `legacy_id`. */
  readonly theirs = new Map<Table, Map<string, Stored>>();
  /** Every image that was taken, by id, in their order. */
  readonly images = new Map<Table, Map<string, Image[]>>();
  readonly compared: Compared = { rows: 0, images: 0, conflicts: 0 };
  #marks = new Map<string, string>();
  #stages: Stage[] = [];
  #seen: { image: string; conflict: string } = { image: '0', conflict: '0' };
  #cached: { of: string; said: Omit<Stage, 'policy'> } | undefined;

  private readonly world: World;

  constructor(world: World) {
    this.world = world;
    this.forget();
  }

  /** A run was ended in the middle, and none has come to its end since. */
  get isOpen(): boolean {
    return this.#stages.length > 0;
  }

  /** Nothing of ours is there. */
  forget(): void {
    for (const table of TABLES) {
      this.known.set(table, new Map());
      this.theirs.set(table, new Map());
      this.images.set(table, new Map());
    }
    this.#stages = [];
  }

  /** The source has changed. */
  sourceChanged(): void {
    this.#cached = undefined;
  }

  /** A run, and at the same time what the source says to it; before it, what the application has done. */
  async watch(policy: Policy, run: () => Promise<unknown>): Promise<void> {
    if (!this.isOpen) await this.observe();
    const theirs = new Map(
      ADOPTS.map((table) => [
        table,
        [
          ...[...of(this.theirs, table)].map(([key, { row }]) => ({ id: row['id'] ?? '', key })),
          ...[...of(this.known, table)].flatMap(([key, { id, adopted }]) =>
            adopted ? [{ id, key }] : [],
          ),
        ],
      ]),
    );
    const [asked, ran] = await Promise.allSettled([this.#ask(theirs), run()]);
    if (asked.status === 'rejected') throw asked.reason;
    this.#stages.push({ ...asked.value, policy });
    if (ran.status === 'rejected') throw ran.reason;
  }

  async #ask(theirs: Map<Table, { id: string; key: string }[]>): Promise<Omit<Stage, 'policy'>> {
    const of = JSON.stringify([...theirs]);
    if (this.#cached?.of !== of) {
      this.#cached = { of, said: await fromNothing(this.world, theirs) };
    }
    return this.#cached.said;
  }

  /** What the application has done with the rows since. */
  async observe(): Promise<void> {
    const { target } = this.world;
    for (const table of TABLES) {
      const stored = await storedRows(target, table);
      const byKey = new Map(
        stored.flatMap((each) => (each.key === null ? [] : [[each.key, each]])),
      );
      for (const [key, known] of of(this.known, table)) {
        const here = byKey.get(key);
        known.row = here?.row;
        if (here !== undefined && here.mark !== this.#marks.get(known.id)) known.ours = false;
      }
      this.theirs.set(
        table,
        new Map(
          stored.flatMap((each) =>
            each.key === null ? [[each.row['legacy_id'] ?? '', each]] : [],
          ),
        ),
      );
      for (const { row, mark } of stored) this.#marks.set(row['id'] ?? '', mark);
    }
    this.#seen = await lastOf(target);
  }

  /** After a run that has come to its end: everything is as it must be. */
  async check(): Promise<void> {
    const { target } = this.world;
    const last = this.#stages.at(-1);
    if (last === undefined) throw new Error('no run to check');
    const images = await newImages(target, this.#seen.image);
    const conflicts = await newConflicts(target, this.#seen.conflict);
    for (const table of TABLES) {
      const stored = await storedRows(target, table);
      const byKey = new Map(
        stored.flatMap((each) => (each.key === null ? [] : [[each.key, each]])),
      );
      const keys = new Set([
        ...of(this.known, table).keys(),
        ...byKey.keys(),
        ...this.#stages.flatMap(({ rows }) => [...of(rows, table).keys()]),
      ]);
      for (const key of keys) {
        const place = `${table} ${key}`;
        const found = {
          stored: byKey.get(key),
          images: images.get(place) ?? [],
          conflicts: conflicts.get(place) ?? [],
        };
        const state = this.#settle(table, key, found);
        const now = of(last.rows, table).get(key);
        refuseStale(table, key, state, now);
        if (state === undefined) of(this.known, table).delete(key);
        else of(this.known, table).set(key, state);
        this.compared.rows += 1;
        this.compared.images += found.images.length;
        this.compared.conflicts += found.conflicts.length;
        images.delete(place);
        conflicts.delete(place);
      }
      for (const each of stored) {
        const id = each.row['id'] ?? '';
        const was = of(this.theirs, table).get(each.row['legacy_id'] ?? '');
        if (
          each.key === null &&
          (was === undefined || was.mark !== each.mark || show(was.row) !== show(each.row))
        ) {
          throw new Failure(
            'strange row',
            `${table} ${id}: ${show(each.row)} was ${show(was?.row)}`,
          );
        }
        this.#marks.set(id, each.mark);
      }
    }
    if (images.size + conflicts.size > 0) {
      throw new Failure(
        'image',
        `of no row: ${[...images.keys(), ...conflicts.keys()].join(', ')}`,
      );
    }
    const rejects = await openRejects(target);
    if (show(rejects) !== show(last.rejects)) {
      throw new Failure('rejects', `${show(rejects)} are not ${show(last.rejects)}`);
    }
    this.#stages = [];
    this.#seen = await lastOf(target);
  }

  /** The outcome that is there, of those that may be; throws where there is none. */
  #settle(table: Table, key: string, found: Found): Known | undefined {
    const was = of(this.known, table).get(key);
    const theirs = was === undefined ? of(this.theirs, table).get(key)?.row : undefined;
    let open: Outcome[] = [{ state: was, images: [], conflicts: [], writes: false }];
    this.#stages.forEach(({ rows, policy }, place) => {
      const isLast = place === this.#stages.length - 1;
      open = open.flatMap((before) => {
        const after = outcomes(
          table,
          before.state,
          of(rows, table).get(key),
          policy,
          before.writes ? undefined : theirs,
        ).map((outcome) => join(before, outcome));
        return isLast
          ? after
          : [before, ...after, ...after.flatMap((each) => releasing(table, each))];
      });
    });
    for (const outcome of [...open, ...open.flatMap((each) => released(table, each, found))]) {
      if (
        differenceOf(outcome, found, was === undefined ? undefined : this.#marks.get(was.id)) ===
        undefined
      ) {
        const id = outcome.state?.id ?? was?.id ?? theirs?.['id'] ?? '';
        const all = of(this.images, table);
        if (found.images.length > 0) all.set(id, [...(all.get(id) ?? []), ...found.images]);
        return outcome.state === undefined
          ? undefined
          : { ...outcome.state, images: all.get(id) ?? [] };
      }
    }
    const [first] = open;
    if (first === undefined) throw new Error('no outcome');
    const mark = was === undefined ? undefined : this.#marks.get(was.id);
    const [what, message] = differenceOf(first, found, mark) ?? ['row', ''];
    throw new Failure(
      `${table}: ${what}`,
      `key ${key}: ${message}; was ${show(was)}, the view says ${show(
        of(this.#stages.at(-1)?.rows ?? new Map<Table, Map<string, Row>>(), table).get(key),
      )}`,
    );
  }
}

/** What a run has left of one key. */
interface Found {
  stored: Stored | undefined;
  images: Image[];
  conflicts: string[];
}

function join(before: Outcome, after: Outcome): Outcome {
  return {
    state: after.state,
    images: [...before.images, ...after.images],
    conflicts: [...before.conflicts, ...after.conflicts],
    writes: before.writes || after.writes,
  };
}

/** A row that is gone and kept may give up its unique values in a run that was ended in the middle. */
function releasing(table: Table, outcome: Outcome): Outcome[] {
  const { state } = outcome;
  if (table !== 'people' || state?.gone !== true || state.row === undefined) return [];
  const images = [...outcome.images, { reason: 'released', row: state.row }];
  return [{ ...outcome, state: { ...state, said: undefined }, images, writes: true }];
}

/** A row that is gone and kept has given up its unique values: when it is back it has to be written. */
function released(table: Table, outcome: Outcome, { stored, images }: Found): Outcome[] {
  const { state } = outcome;
  if (table !== 'people' || state?.gone !== true || state.row === undefined || stored === undefined)
    return [];
  const taken = images.filter(({ reason }) => reason === 'released');
  if (taken.length === 0) return [];
  const row = { ...state.row };
  for (const column of RELEASED) row[column] = stored.row[column] ?? null;
  const written = isTouched(table, state) ? state.written : viewOf(table, row);
  const first = { reason: 'released', row: state.row };
  return [
    {
      ...outcome,
      state: { ...state, row, written, said: undefined },
      images: [...outcome.images, first, ...taken.slice(1)],
      writes: true,
    },
  ];
}

/** What of an outcome is not so; undefined where all of it is. */
function differenceOf(
  { state, images, conflicts, writes }: Outcome,
  found: Found,
  mark: string | undefined,
): [string, string] | undefined {
  const row = state?.row;
  if (show(found.stored?.row) !== show(row))
    return ['row', `${show(found.stored?.row)} is not ${show(row)}`];
  if (show(found.images) !== show(images))
    return ['image', `${show(found.images)} are not ${show(images)}`];
  if (show(found.conflicts) !== show(conflicts))
    return ['conflict', `${show(found.conflicts)} are not ${show(conflicts)}`];
  if (!writes && mark !== undefined && found.stored !== undefined && found.stored.mark !== mark) {
    return ['version', 'written without need'];
  }
  return undefined;
}

/** A row that the application has not changed is as a migration from nothing has it. */
function refuseStale(
  table: Table,
  key: string,
  state: Known | undefined,
  now: Row | undefined,
): void {
  if (now === undefined || state?.row === undefined || isTouched(table, state)) return;
  // it was kept once, and the application has put it back as we wrote it
  if (state.said !== state.written) return;
  if (viewOf(table, state.row) === viewOf(table, now) && state.id === now['id']) return;
  throw new Failure(`${table}: stale`, `key ${key}: ${show(state.row)} is not ${show(now)}`);
}

async function lastOf(target: Sql): Promise<{ image: string; conflict: string }> {
  const [row] = await target<{ image: string; conflict: string }[]>`
    select (select coalesce(max(image_id), 0)::text from migration.before_images) as image,
      (select coalesce(max(conflict_id), 0)::text from migration.conflicts) as conflict`;
  return row ?? { image: '0', conflict: '0' };
}

async function newImages(target: Sql, since: string): Promise<Map<string, Image[]>> {
  const rows = await target<{ place: string; reason: string; image: Row }[]>`
    select concat_ws(' ', entity, legacy_id) as place, reason, image::jsonb - '' as image
    from migration.before_images where image_id > ${since} order by image_id`;
  const found = new Map<string, Image[]>();
  for (const { place, reason, image } of rows) {
    found.set(place, [...(found.get(place) ?? []), { reason, row: image }]);
  }
  return found;
}

async function newConflicts(target: Sql, since: string): Promise<Map<string, string[]>> {
  const rows = await target<{ place: string; line: string }[]>`
    select concat_ws(' ', entity, legacy_id) as place, concat_ws(' ', kind, resolution) as line
    from migration.conflicts where conflict_id > ${since} order by conflict_id`;
  const found = new Map<string, string[]>();
  for (const { place, line } of rows) found.set(place, [...(found.get(place) ?? []), line]);
  return found;
}

function of<Value>(map: Map<Table, Map<string, Value>>, table: Table): Map<string, Value> {
  return map.get(table) ?? new Map<string, Value>();
}

/** A value as text, whatever the order of its columns. */
export function show(value: unknown): string {
  return (
    JSON.stringify(value, (_, each: unknown) =>
      typeof each === 'object' && each !== null && !Array.isArray(each)
        ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1)))
        : each,
    ) ?? 'none'
  );
}
