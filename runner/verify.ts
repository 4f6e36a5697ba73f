import type { ArchiveTable } from './catalog.ts';
import { failureOf, savepoint, type Session } from './database.ts';
import { reading } from './link.ts';
import {
  comparable,
  hash,
  isWhole,
  literal,
  quoted,
  type Scope,
  type Shape,
  targetOf,
  versionsOf,
  viewRows,
  within,
} from './render.ts';

/**
 * What is wrong with a row: `missing` from the target, `surplus` (mapped, but no row to store any
 * more), `differs` (the view says something else than when it was written), `changed` (the target
 * was changed since we wrote it), `duplicate` (another target row has the same adoption key).
 */
export type Difference = 'missing' | 'surplus' | 'differs' | 'changed' | 'duplicate';

/** One row; values only where they were asked for. */
export interface RowFinding {
  entity: string;
  legacyKey: number;
  kind: Difference;
  columns: string[];
  /** `column: view value <> target value`, cut to 80 characters each. */
  values: string[];
}

/** What was found for one entity; `rows` is cut, the counts are not. */
export interface EntityFindings {
  entity: string;
  compared: number;
  counts: Partial<Record<Difference, number>>;
  rows: RowFinding[];
}

const PIECE_ROWS = 100_000;
/** Rows listed per entity: more than anybody reads, and few enough to hold. */
const LISTED = 200;

/**
 * Compares every row of a view with the target and the id map, a piece of the key range at a time:
 * row hashes in the database first, columns only of rows that differ. The link is open; nothing is
 * written. `checkpoint` is called between pieces.
 */
export async function verifyEntity(
  session: Session,
  shape: Shape,
  options: { showData: boolean; checkpoint: () => void },
): Promise<EntityFindings> {
  const found: EntityFindings = { entity: shape.entity.name, compared: 0, counts: {}, rows: [] };
  for (const scope of await scopesOf(session, shape)) {
    options.checkpoint();
    await reading(session, () => compareOrHalve(session, shape, scope, found));
  }
  const differing = found.rows.filter(({ kind }) => kind === 'differs' || kind === 'changed');
  if (differing.length > 0) {
    await reading(session, () => nameColumns(session, shape, differing, options.showData));
  }
  return found;
}

/** Compares an archive table with its source, value by value. The link is open. */
export async function verifyArchive(
  session: Session,
  table: ArchiveTable,
  from: string,
): Promise<EntityFindings> {
  const copy = `${quoted(table.target.schema)}.${quoted(table.target.table)}`;
  const columns = await session.query<{ name: string }>(
    `select quote_ident(a.attname) as name from pg_attribute as a
     where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [table.name],
  );
  const row = (alias: string) =>
    `row(${columns.map(({ name }) => `${alias}.${name}`).join(', ')})::text`;
  const rows = await reading(session, () =>
    session.query<{ legacy_key: number | null; kind: Difference | null; compared: number }>(
      `with both_sides as (
         select coalesce(s.id, a.id)::bigint as legacy_key,
           case when a.id is null then 'missing' when s.id is null then 'surplus'
             when ${row('s')} <> ${row('a')} then 'changed' end as kind
         from ${from} as s full join ${copy} as a on a.id = s.id)
       select b.legacy_key, b.kind, (select count(*) from both_sides) as compared
       from (select 1) as one left join both_sides as b on b.kind is not null order by 1`,
    ),
  );
  const found: EntityFindings = { entity: table.name, compared: 0, counts: {}, rows: [] };
  found.compared = rows[0]?.compared ?? 0;
  for (const { legacy_key: legacyKey, kind } of rows) {
    if (kind !== null && legacyKey !== null) enter(found, legacyKey, kind);
  }
  return found;
}

/** Total number of differences. */
export function differences(found: EntityFindings): number {
  return Object.values(found.counts).reduce((sum, count) => sum + count, 0);
}

/**
 * Where a value cannot be read (class 22) the range is halved until single keys remain: such a row
 * has to be a reject, and is `missing` where it is none.
 */
async function compareOrHalve(
  session: Session,
  shape: Shape,
  scope: Scope,
  found: EntityFindings,
): Promise<void> {
  try {
    await savepoint(session, () => compare(session, shape, scope, found));
  } catch (error) {
    if (failureOf(error)?.code.startsWith('22') !== true) throw error;
    const [from, end] = await boundsOf(session, shape, scope);
    if (from === undefined || end === undefined) throw error;
    if (end - from === 1) {
      const known = await session.query(
        `select from migration.rejects
         where entity = $1 and legacy_id = $2 and resolved_run is null`,
        [shape.entity.name, from],
      );
      found.compared += 1;
      if (known.length === 0) enter(found, from, 'missing');
      return;
    }
    const middle = from + Math.floor((end - from) / 2);
    await compareOrHalve(session, shape, { kind: 'range', from, end: middle }, found);
    await compareOrHalve(session, shape, { kind: 'range', from: middle, end }, found);
  }
}

/** Keys of the source inside a scope: the first, and the one after the last. */
async function boundsOf(
  session: Session,
  shape: Shape,
  scope: Scope,
): Promise<[number | undefined, number | undefined]> {
  if (shape.entity.source === null) return [undefined, undefined];
  const [row] = await session.query<{ low: number | null; high: number | null }>(
    `select min(s.id) as low, max(s.id) as high from ${versionsOf(shape.entity)} as s
     where ${within(scope, 's.id')}`,
  );
  if (row === undefined || row.low === null || row.high === null) return [undefined, undefined];
  return [row.low, row.high + 1];
}

async function compare(
  session: Session,
  shape: Shape,
  scope: Scope,
  found: EntityFindings,
): Promise<void> {
  const { entity } = shape;
  const name = quoted(entity.name);
  const rows = await session.query<{
    compared: number;
    legacy_key: number | null;
    kind: Difference | null;
  }>(`
    with view_rows as materialized (
      select v.legacy_key, ${hash(shape, 'v')} as row_hash${adoptColumns(shape, 'v')}
      from ${viewRows(shape, scope)} as v where v.reject is null
    ),
    map_rows as materialized (
      select m.legacy_id, m.row_hash, m.written_hash, t.id, ${hash(shape, 't')} as stored_hash
      from ids.${name} as m
      left join ${targetOf(entity)} as t on t.id = m.id
      where ${within(scope, 'm.legacy_id')} and not exists (
        select from migration.gone as g
        where g.entity = ${literal(entity.name)} and g.legacy_id = m.legacy_id)
    ),
    compared as (
      select coalesce(v.legacy_key, m.legacy_id) as legacy_key,
        case
          when m.legacy_id is null or (v.legacy_key is not null and m.id is null) then 'missing'
          when v.legacy_key is null then 'surplus'
          when v.row_hash is distinct from m.row_hash then 'differs'
          when m.stored_hash is distinct from m.written_hash then 'changed'
        end as kind
      from view_rows as v full join map_rows as m on m.legacy_id = v.legacy_key
      ${duplicates(shape)}
    )
    select c.legacy_key, c.kind, (select count(*) from view_rows) as compared
    from (select 1) as one left join compared as c on c.kind is not null
    order by 1`);
  found.compared += rows[0]?.compared ?? 0;
  for (const { legacy_key: legacyKey, kind } of rows) {
    if (kind !== null && legacyKey !== null) enter(found, legacyKey, kind);
  }
}

/** Target rows outside all id maps of the table that have the adoption key of one of ours. */
function duplicates(shape: Shape): string {
  const { entity } = shape;
  if (entity.adopt.length === 0) return '';
  const equal = entity.adopt.map((column) => `t.${quoted(column)} = v.${quoted(column)}`);
  const unmapped = shape.siblings.map(
    (sibling) => `not exists (select from ids.${quoted(sibling)} as o where o.id = t.id)`,
  );
  return `union all
      select v.legacy_key, 'duplicate'
      from view_rows as v join ${targetOf(entity)} as t on ${equal.join(' and ')}
      where ${unmapped.join(' and ')}`;
}

function adoptColumns(shape: Shape, from: string): string {
  return shape.entity.adopt.map((column) => `, ${from}.${quoted(column)}`).join('');
}

/** Column names (and values) of the rows listed, read again by key. */
async function nameColumns(
  session: Session,
  shape: Shape,
  rows: RowFinding[],
  showData: boolean,
): Promise<void> {
  const { entity } = shape;
  const keys = rows.map(({ legacyKey }) => legacyKey).join(',');
  const byKey: Scope = { kind: 'range', from: 0, end: 0 };
  const view = viewRows(shape, byKey).replace(
    within(byKey, 'e.legacy_key'),
    `e.legacy_key = any ('{${keys}}'::bigint[])`,
  );
  const columns = shape.columns.map((column) => {
    const [left, right] = [comparable(column, 'v'), comparable(column, 't')];
    const shown = showData
      ? `concat(${literal(column.name)}, ': ', left(${left}::text, 80), ' <> ', left(${right}::text, 80))`
      : literal(column.name);
    return `case when ${left} is distinct from ${right} then ${shown} end`;
  });
  const answers = await session.query<{ legacy_key: number; differing: string[] }>(`
    select v.legacy_key, array_remove(array[${columns.join(', ')}], null) as differing
    from ${view} as v
    join ids.${quoted(entity.name)} as m on m.legacy_id = v.legacy_key
    join ${targetOf(entity)} as t on t.id = m.id`);
  const byLegacyKey = new Map(answers.map((row) => [row.legacy_key, row.differing]));
  for (const row of rows) {
    const differing = byLegacyKey.get(row.legacyKey) ?? [];
    row.columns = differing.map((text) => text.split(':')[0] ?? text);
    if (showData) row.values = differing;
  }
}

function enter(found: EntityFindings, legacyKey: number, kind: Difference): void {
  found.counts[kind] = (found.counts[kind] ?? 0) + 1;
  if (found.rows.length >= LISTED) return;
  found.rows.push({ entity: found.entity, legacyKey, kind, columns: [], values: [] });
}

/** Pieces of the key range that together hold every key, new ones at the end included. */
async function scopesOf(session: Session, shape: Shape): Promise<Scope[]> {
  if (isWhole(shape)) return [{ kind: 'all' }];
  const ranges = await session.query<{ range: number; rows: number }>(
    'select range, source_rows as rows from migration.ranges where entity = $1 order by 1',
    [shape.entity.name],
  );
  const scopes: Scope[] = [];
  let from = 0;
  let rows = 0;
  for (const range of ranges) {
    rows += range.rows;
    if (rows < PIECE_ROWS) continue;
    const end = (range.range + 1) * shape.width;
    scopes.push({ kind: 'range', from, end });
    from = end;
    rows = 0;
  }
  scopes.push({ kind: 'range', from, end: Number.MAX_SAFE_INTEGER });
  return scopes;
}
