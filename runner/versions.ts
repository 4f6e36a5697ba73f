import { createHash } from 'node:crypto';

import { blanked, type Catalog, type Entity } from './catalog.ts';
import type { Session } from './database.ts';
import { HASH_METHOD, isWhole, literal, quoted, type Shape } from './merge.ts';

/** State of one key range: number of rows and two sums over (id, version). Sums are numeric text. */
export interface RangeSums {
  range: number;
  row_count: number;
  sum_a: string;
  sum_b: string;
}

/**
 * A piece of work: ranges read whole, or ranges of which only changed keys are read. `ranges`
 * become checkpoints when the piece is done.
 */
export interface Piece {
  kind: 'all' | 'range' | 'keys';
  ranges: RangeSums[];
  /** Rows in the source in these ranges. */
  rows: number;
}

/** What has to be done for one entity. */
export interface Plan {
  pieces: Piece[];
  /** Rows in the source, all ranges. */
  sourceRows: number;
  /** Ranges that are as they were and are not read. */
  skipped: number;
  /** Digest of everything apart from the driving rows that decides what the view says. */
  basis: string;
  /** Id maps that have grown since this entity was last complete, or first begun. */
  grown: string[];
  /** Open rejects, and rows with something missing from a map that has grown, are read again. */
  again: boolean;
}

/** Rows of a piece that is read whole: large enough that a commit and a round trip do not count. */
export const PIECE_ROWS = 60_000;
/** So many times the rows in ranges of which only changed keys are read: (id, version) is short. */
const KEYS_FACTOR = 10;
/** Entities below this are compared whole as soon as one range differs. */
const SMALL = 5_000;

/**
 * Takes the sums of every source table into the temporary table `sums`, over dblink, before the
 * first foreign read; chooses the width of a table the first time it is seen. The link is open.
 */
export async function takeSums(session: Session, tables: string[]): Promise<void> {
  await session.query(
    `drop table if exists pg_temp.sums;
     create temporary table sums (
       source_table text, range bigint, row_count bigint, sum_a numeric, sum_b numeric,
       primary key (source_table, range))`,
  );
  for (const table of tables) {
    const name = literal(table);
    await session.query(`
      insert into migration.source_tables (source_table, width)
      select ${name}, case when e.row_count = 0 then 10000 else
        greatest(1, ceil(10000.0 * (e.last_key - e.first_key + 1) / e.row_count))::bigint end
      from migration.source_extent(${name}) as e
      where not exists (select from migration.source_tables where source_table = ${name})`);
    await session.query(`
      insert into pg_temp.sums (source_table, range, row_count, sum_a, sum_b)
      select ${name}, s.range, sum(s.row_count), sum(s.sum_a), sum(s.sum_b)
      from migration.source_tables as t, migration.range_sums(t.source_table, t.width) as s
      where t.source_table = ${name} group by s.range`);
  }
}

/**
 * Says of every entity what it sees of the tables it looks things up in (and of its driving table
 * where the view reads that twice), in the temporary table `seen`. Equal row versions: as before.
 * Otherwise the content of the columns the view uses decides, taken before anything is read; where
 * rows changed while the entity was read the last time, content proves nothing and a new mark
 * makes everything look changed. The link is open, views and sums are there.
 */
export async function takeLookups(session: Session, catalog: Catalog, run: number): Promise<void> {
  const uses = catalog.phases
    .flatMap(({ entities }) => entities)
    .flatMap((entity) => lookupsOf(entity).map((table) => ({ entity: entity.name, table })));
  await session.query(
    `drop table if exists pg_temp.seen;
     create temporary table seen (
       entity text, source_table text, columns text[], version_digest text, content_digest text,
       primary key (entity, source_table))`,
  );
  await session.query(
    `insert into pg_temp.seen (entity, source_table, columns, version_digest)
     select u.entity, u.table, c.columns, concat_ws(':', coalesce(s.rows, 0), coalesce(s.a, 0),
       coalesce(s.b, 0))
     from jsonb_to_recordset($1::text::jsonb) as u (entity text, "table" text)
     join pg_class as v on v.oid = to_regclass(concat('transform.', quote_ident(u.entity)))
     join pg_class as t on t.oid = to_regclass(concat('legacy.', quote_ident(u.table)))
     cross join lateral (
       select coalesce(array_agg(a.attname::text order by a.attname::text), '{}') as columns
       from pg_attribute as a
       where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
         -- a whole row is no dependency on its columns
         and (pg_get_viewdef(v.oid) ~ '[.][*]' or exists (
           select from pg_rewrite as w
           join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
           where w.ev_class = v.oid and d.refclassid = 'pg_class'::regclass
             and d.refobjid = t.oid and d.refobjsubid = a.attnum))
     ) as c
     left join (
       select source_table, sum(row_count) as rows, sum(sum_a) as a, sum(sum_b) as b
       from pg_temp.sums group by source_table
     ) as s on s.source_table = u.table`,
    [JSON.stringify(uses)],
  );
  await session.query(`
    update pg_temp.seen as n set content_digest = l.content_digest
    from migration.lookups as l
    where (l.entity, l.source_table) = (n.entity, n.source_table)
      and (l.version_digest, l.columns) = (n.version_digest, n.columns::text)`);
  await session.query(`
    with content as materialized (
      select d.source_table, d.columns, migration.content_digest(d.source_table, d.columns) as digest
      from (
        select distinct source_table, columns from pg_temp.seen where content_digest is null
      ) as d
    )
    update pg_temp.seen as n
    set content_digest = concat(c.digest, (
      select case when l.settled then substring(l.content_digest from ' run .*') else ' run ${run}' end
      from migration.lookups as l
      where (l.entity, l.source_table) = (n.entity, n.source_table)))
    from content as c
    where n.content_digest is null and (c.source_table, c.columns) = (n.source_table, n.columns)`);
}

/** Before an entity is read: what it is going to see is not settled until it has been read. */
export async function enterLookups(session: Session, entity: Entity): Promise<void> {
  await session.query(
    `delete from migration.lookups as l where l.entity = $1 and not exists (
       select from pg_temp.seen as n
       where (n.entity, n.source_table) = (l.entity, l.source_table))`,
    [entity.name],
  );
  await session.query(
    `insert into migration.lookups
       (entity, source_table, columns, version_digest, content_digest, settled)
     select entity, source_table, columns::text, version_digest, content_digest, false
     from pg_temp.seen where entity = $1
     on conflict (entity, source_table) do update set columns = excluded.columns,
       version_digest = excluded.version_digest, content_digest = excluded.content_digest,
       settled = false`,
    [entity.name],
  );
}

/** After an entity was read: settled where no row of the look-up has changed since. Link open. */
export async function settleLookups(session: Session, entity: Entity): Promise<void> {
  await session.query(
    `update migration.lookups as l
     set settled = l.version_digest = migration.version_digest(l.source_table)
     where l.entity = $1`,
    [entity.name],
  );
}

/** Keys per range of the source table; 0 where one range holds the whole entity. */
export async function widthOf(session: Session, entity: Entity): Promise<number> {
  if (entity.source === null || entity.readWhole) return 0;
  const [row] = await session.query<{ width: number }>(
    'select width from migration.source_tables where source_table = $1',
    [entity.source],
  );
  return row?.width ?? 10_000;
}

/** Compares the sums with the ledger and says what is to be read. */
export async function planEntity(
  session: Session,
  shape: Shape,
  options: { functionsHash: string; full: boolean; retry: boolean; pieceRows: number },
): Promise<Plan> {
  const { entity } = shape;
  const { functionsHash, full, retry } = options;
  const basis = await basisOf(session, entity, functionsHash);
  const grown = await grownMaps(session, entity);
  const again = grown.length > 0 || retry;
  const forced = again ? await forcedRanges(session, shape, grown) : [];
  const states = await session.query<RangeSums & { state: 'same' | 'keys' | 'range' }>(`
    select
      coalesce(s.range, l.range) as range,
      coalesce(s.row_count, 0)::bigint as row_count,
      coalesce(s.sum_a, 0)::text as sum_a,
      coalesce(s.sum_b, 0)::text as sum_b,
      case
        when l.range is null or l.basis <> ${literal(basis)} or ${String(full)} then 'range'
        when (l.row_count, l.sum_a, l.sum_b)
          = (coalesce(s.row_count, 0), coalesce(s.sum_a, 0), coalesce(s.sum_b, 0))
          and coalesce(s.range, l.range) <> all ('{${forced.join(',')}}'::bigint[]) then 'same'
        else 'keys'
      end as state
    from (${sumsOf(shape)}) as s
    full join (
      select * from migration.ranges as r where r.entity = ${literal(entity.name)}
    ) as l on l.range = s.range
    order by 1`);
  const sourceRows = states.reduce((sum, state) => sum + state.row_count, 0);
  const pieces = cut(shape, states, sourceRows, options.pieceRows);
  const skipped = states.length - pieces.reduce((sum, piece) => sum + piece.ranges.length, 0);
  return { pieces, sourceRows, skipped, basis, grown, again };
}

/**
 * Lists (id, version) of the ranges of a `keys` piece through the link and puts into the temporary
 * table `wanted` what has to be read: keys with another version, keys that are gone, and keys that
 * had something missing from a map that has grown. Returns the number of keys.
 */
export async function findWanted(
  session: Session,
  shape: Shape,
  piece: Piece,
  { grown, again }: Plan,
): Promise<number> {
  const { entity } = shape;
  const name = literal(entity.name);
  const inside = (column: string) =>
    intervals(piece.ranges, shape.width)
      .map(([from, end]) => `(${column} >= ${from} and ${column} < ${end})`)
      .join(' or ');
  await session.query(`
    drop table if exists pg_temp.wanted, pg_temp.source_keys;
    create temporary table wanted (legacy_key bigint primary key);
    create temporary table source_keys (id bigint, version bigint)`);
  await session.query(`
    insert into pg_temp.source_keys (id, version)
    select s.id, s.version from legacy_versions.${quoted(entity.source ?? '')} as s
    where ${inside('s.id')}`);
  await session.query('analyze pg_temp.source_keys');
  const map = `ids.${quoted(entity.name)}`;
  const maps = `'{${grown.join(',')}}'::text[]`;
  await session.query(`
    insert into pg_temp.wanted (legacy_key)
    select k.id from pg_temp.source_keys as k
    left join ${map} as m on m.legacy_id = k.id and m.version = k.version
    left join migration.rejects as j on j.entity = ${name} and j.legacy_id = k.id
      and j.version = k.version and j.resolved_run is null
    left join migration.filtered as f on f.entity = ${name} and f.legacy_id = k.id
      and f.version = k.version
    where m.legacy_id is null and j.legacy_id is null and f.legacy_id is null
    union
    select o.legacy_id from (
      select m.legacy_id from ${map} as m
      where (${inside('m.legacy_id')}) and not exists (
        select from migration.gone as g
        where g.entity = ${name} and g.legacy_id = m.legacy_id and g.reason = 'deleted')
      union
      select j.legacy_id from migration.rejects as j
      where j.entity = ${name} and j.resolved_run is null and (${inside('j.legacy_id')})
      union
      select f.legacy_id from migration.filtered as f
      where f.entity = ${name} and (${inside('f.legacy_id')})
    ) as o
    where not exists (select from pg_temp.source_keys as k where k.id = o.legacy_id)
    ${
      !again
        ? ''
        : `
    union
    select m.legacy_id from ${map} as m
    where m.missing is not null and string_to_array(m.missing, ',') && ${maps}
      and (${inside('m.legacy_id')})
    union
    select j.legacy_id from migration.rejects as j
    where j.entity = ${name} and j.resolved_run is null and (${inside('j.legacy_id')})`
    }`);
  await session.query('analyze pg_temp.wanted');
  const [row] = await session.query<{ count: number }>(
    'select count(*) as count from pg_temp.wanted',
  );
  return row?.count ?? 0;
}

/** Key intervals [from, end) that cover the ranges, neighbours joined. */
export function intervals(ranges: readonly { range: number }[], width: number): number[][] {
  const joined: number[][] = [];
  for (const { range } of ranges) {
    const last = joined.at(-1);
    if (last !== undefined && last[1] === range * width) last[1] = (range + 1) * width;
    else joined.push([range * width, (range + 1) * width]);
  }
  return joined;
}

/** The view reads its driving table a second time: a change of one row may change another. */
function readsDrivingTableAgain(entity: Entity): boolean {
  const mentions = blanked(entity.text).match(
    new RegExp(`\\blegacy\\s*\\.\\s*"?${entity.source}\\b`, 'gi'),
  );
  return entity.source !== null && (mentions?.length ?? 0) > 1;
}

function sumsOf(shape: Shape): string {
  const { source } = shape.entity;
  if (source === null)
    return 'select 0::bigint as range, 1::bigint as row_count, 0::numeric as sum_a, 0::numeric as sum_b';
  const from = `from pg_temp.sums where source_table = ${literal(source)}`;
  return isWhole(shape)
    ? `select 0::bigint as range, sum(row_count)::bigint as row_count, sum(sum_a) as sum_a, sum(sum_b) as sum_b
       ${from} having count(*) > 0`
    : `select range, row_count, sum_a, sum_b ${from}`;
}

/** Equal basis = the file, the helper functions, the hash and what is looked up are the same. */
async function basisOf(session: Session, entity: Entity, functionsHash: string): Promise<string> {
  const [row] = await session.query<{ digest: string | null }>(
    `select string_agg(concat_ws(' ', source_table, columns::text, content_digest), e'\\n'
       order by source_table) as digest
     from pg_temp.seen where entity = $1`,
    [entity.name],
  );
  const parts = [entity.hash, functionsHash, String(HASH_METHOD), row?.digest ?? ''];
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 32);
}

function lookupsOf(entity: Entity): string[] {
  return entity.reads.filter(
    (table) => table !== entity.source || entity.readWhole || readsDrivingTableAgain(entity),
  );
}

async function grownMaps(session: Session, entity: Entity): Promise<string[]> {
  const rows = await session.query<{ name: string }>(
    `select m.entity as name
     from migration.entities as e
     join migration.entities as m on m.entity = any ($2) and m.entity <> e.entity
     where e.entity = $1
       and m.map_size > coalesce((e.maps_seen ->> m.entity)::bigint, 0)`,
    [entity.name, entity.idMaps],
  );
  return rows.map((row) => row.name);
}

/** Ranges with open rejects, or with rows that had nothing to point at in a map that has grown. */
async function forcedRanges(session: Session, shape: Shape, grown: string[]): Promise<number[]> {
  const range = isWhole(shape) ? '0::bigint' : `legacy_id / ${shape.width}`;
  const rows = await session.query<{ range: number }>(
    `select distinct ${range} as range from ids.${quoted(shape.entity.name)}
     where missing is not null and string_to_array(missing, ',') && $2
     union
     select distinct ${range} from migration.rejects where entity = $1 and resolved_run is null`,
    [shape.entity.name, grown],
  );
  return rows.map((row) => row.range);
}

function cut(
  shape: Shape,
  states: (RangeSums & { state: 'same' | 'keys' | 'range' })[],
  sourceRows: number,
  pieceRows: number,
): Piece[] {
  const changed = states.filter((state) => state.state !== 'same');
  if (changed.length === 0) return [];
  const whole = isWhole(shape);
  if (whole || shape.entity.idMaps.includes(shape.entity.name)) {
    return [{ kind: 'all', ranges: states, rows: sourceRows }];
  }
  const pieces: Piece[] = [];
  for (const { state, ...sums } of states) {
    if (state === 'same') {
      pieces.push({ kind: 'range', ranges: [], rows: 0 });
      continue;
    }
    const kind = state === 'keys' && sourceRows >= SMALL ? 'keys' : 'range';
    const limit = kind === 'keys' ? KEYS_FACTOR * pieceRows : pieceRows;
    const last = pieces.at(-1);
    if (last !== undefined && last.kind === kind && last.rows + sums.row_count <= limit) {
      last.ranges.push(sums);
      last.rows += sums.row_count;
    } else {
      pieces.push({ kind, ranges: [sums], rows: sums.row_count });
    }
  }
  return pieces.filter((piece) => piece.ranges.length > 0);
}
