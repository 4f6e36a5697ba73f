import { createHash } from 'node:crypto';

import type { Entity } from './catalog.ts';
import type { Session } from './database.ts';
import { reading } from './link.ts';
import { seenBy, type Seen } from './lookups.ts';
import { HASH_METHOD, inside, isWhole, literal, quoted, type Shape, versionsOf } from './merge.ts';

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
  /** The hashes of its rows are of another method: they tell nothing about changes. */
  rehash: boolean;
}

/** What has to be done for one entity. */
export interface Plan {
  pieces: Piece[];
  /** Rows in the source, all ranges. */
  sourceRows: number;
  /**
   * Digest of everything that decides what the view says, apart from the driving rows and from
   * look-ups that can be followed.
   */
  basis: string;
  seen: Seen;
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
const SMALL = 1_000;

/** Share of a table's rows: where more than that look newer, ranges are listed instead. */
const NEWER_SHARE = 0.2;

/**
 * Takes the sums of every source table into the temporary table `sums`, over dblink, before the
 * first foreign read; chooses the width of a table the first time it is seen, and keeps where it is
 * and how it is defined. Of tables in which ranges changed it lists the rows that look newer. The
 * link is open. Returns what makes row versions incomparable, a sentence each.
 */
export async function takeSums(session: Session, tables: string[], run: number): Promise<string[]> {
  await session.query(
    'update migration.runs set horizon = migration.source_horizon() where run = $1',
    [run],
  );
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
  const remarks = await noteDefinitions(session, tables);
  await session.query('delete from migration.newer');
  await session.query(`
    select migration.list_newer(c.source_table, c.since, c.low, c.high, (
      select (${NEWER_SHARE} * sum(row_count))::bigint
      from pg_temp.sums as s where s.source_table = c.source_table))
    from (
      select e.source as source_table, min(e.horizon) as since,
        min(r.range) * e.width as low, (max(r.range) + 1) * e.width as high
      from migration.entities as e
      join migration.ranges as r on r.entity = e.entity
      join pg_temp.sums as s on (s.source_table, s.range) = (e.source, r.range)
      where e.width > 0 and e.horizon is not null
        and (r.row_count, r.sum_a, r.sum_b) <> (s.row_count, s.sum_a, s.sum_b)
      group by e.source, e.width
    ) as c`);
  await session.query('analyze migration.newer');
  return remarks;
}

async function noteDefinitions(session: Session, tables: string[]): Promise<string[]> {
  const rows = await session.query<{ table: string; moved: boolean; redefined: boolean }>(
    `select source_table as "table", moved, redefined from migration.note_definitions($1) order by 1`,
    [tables],
  );
  if (rows.some(({ moved }) => moved)) {
    return [
      'the source is not the server, or not the history, of the last run: everything is compared',
    ];
  }
  return rows.map(
    ({ table }) =>
      `the source table ${table} is defined differently now: what reads it is compared whole`,
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
  const seen = await seenBy(session, entity);
  const basis = basisOf(entity, functionsHash, seen, await definitionsOf(session, entity));
  const grown = await grownMaps(session, entity);
  const again = grown.length > 0 || retry;
  const forced = again ? await forcedRanges(session, shape, grown) : [];
  const affected = await affectedRanges(session, shape);
  const states = await session.query<State>(`
    select
      coalesce(s.range, l.range) as range,
      coalesce(s.row_count, 0)::bigint as row_count,
      coalesce(s.sum_a, 0)::text as sum_a,
      coalesce(s.sum_b, 0)::text as sum_b,
      case
        when l.range is null or l.basis <> ${literal(basis)} or ${String(full)} then 'range'
        when l.seen not in (${literal(seen.now)}, ${literal(seen.reached ?? seen.now)}) then 'range'
        when l.seen <> ${literal(seen.now)}
          and l.range = any ('{${affected.join(',')}}'::bigint[]) then 'keys'
        when (l.row_count, l.sum_a, l.sum_b)
          = (coalesce(s.row_count, 0), coalesce(s.sum_a, 0), coalesce(s.sum_b, 0))
          -- rows that came after the sums were taken, and were read, may be gone again
          and l.row_count = l.source_rows
          and coalesce(s.range, l.range) <> all ('{${forced.join(',')}}'::bigint[]) then 'same'
        else 'keys'
      end as state,
      coalesce(l.method <> ${HASH_METHOD}, false) as rehash
    from (${sumsOf(shape)}) as s
    full join (
      select * from migration.ranges as r where r.entity = ${literal(entity.name)}
    ) as l on l.range = s.range
    order by 1`);
  const sourceRows = states.reduce((sum, state) => sum + state.row_count, 0);
  const pieces = cut(shape, states, sourceRows, options.pieceRows);
  return { pieces, sourceRows, basis, seen, grown, again };
}

/**
 * Puts into the temporary table `wanted` what has to be read of the ranges of a `keys` piece: keys
 * with another version, keys that are gone, keys that changed look-ups lead to, and keys that had
 * something missing from a map that has grown. Ranges whose changes are all in `migration.newer`, as their sums prove, go to `proven`; of
 * the others (id, version) is listed through the link, which is open.
 */
export async function findWanted(
  session: Session,
  shape: Shape,
  piece: Piece,
  { grown, again }: Plan,
): Promise<void> {
  const { entity, width } = shape;
  const name = literal(entity.name);
  const inPiece = inside(piece.ranges, width);
  await session.query(`
    drop table if exists pg_temp.wanted, pg_temp.news, pg_temp.proven;
    create temporary table wanted (legacy_key bigint primary key);
    create temporary table news (legacy_key bigint, version bigint, is_known boolean, known bigint);
    create temporary table proven (range bigint primary key)`);
  await session.query(`
    insert into pg_temp.news (legacy_key, version, is_known, known)
    select n.id, n.version, o.legacy_id is not null, o.version
    from migration.newer as n
    left join ${knownRows(shape, inPiece)} as o on o.legacy_id = n.id
    where n.source_table = ${literal(entity.source ?? '')} and ${inPiece('n.id')}`);
  await session.query(`
    insert into pg_temp.proven (range)
    select b.range
    from pg_temp.batch_ranges as b
    join migration.ranges as r on r.entity = ${name} and r.range = b.range
    left join (
      select n.legacy_key / ${width} as range,
        count(*) filter (where not n.is_known) as rows,
        sum(${versionHash('a', 'n.version')}) - coalesce(sum(${versionHash('a', 'n.known')}), 0) as a,
        sum(${versionHash('b', 'n.version')}) - coalesce(sum(${versionHash('b', 'n.known')}), 0) as b
      from pg_temp.news as n group by 1
    ) as c on c.range = b.range
    where r.row_count = r.source_rows
      and b.row_count = r.row_count + coalesce(c.rows, 0)
      and b.sum_a = r.sum_a + coalesce(c.a, 0) and b.sum_b = r.sum_b + coalesce(c.b, 0)`);
  await session.query(`
    insert into pg_temp.wanted (legacy_key)
    select n.legacy_key from pg_temp.news as n
    join pg_temp.proven as p on p.range = n.legacy_key / ${width}
    where n.version is distinct from n.known
    union
    select o.legacy_id from migration.affected as a
    join ${knownRows(shape, inPiece)} as o on o.legacy_id = a.legacy_key
    where a.entity = ${name}
    ${
      !again
        ? ''
        : `union
    select m.legacy_id from ids.${quoted(entity.name)} as m
    where m.missing is not null and ${inPiece('m.legacy_id')}
      and string_to_array(m.missing, ',') && '{${grown.join(',')}}'::text[]
      and not exists (
        select from migration.gone as g where g.entity = ${name} and g.legacy_id = m.legacy_id)
    union
    select j.legacy_id from migration.rejects as j
    where j.entity = ${name} and j.resolved_run is null and ${inPiece('j.legacy_id')}`
    }`);
  const unproven = await session.query<{ range: number }>(`
    select b.range from pg_temp.batch_ranges as b
    where not exists (select from pg_temp.proven as p where p.range = b.range) order by 1`);
  if (unproven.length > 0) {
    const inThem = inside(unproven, width);
    await reading(session, async () => {
      await session.query(`
        insert into pg_temp.wanted (legacy_key)
        select coalesce(k.id, o.legacy_id)
        from (
          select s.id, s.version from ${versionsOf(entity)} as s where ${inThem('s.id')} offset 0
        ) as k
        full join ${knownRows(shape, inThem)} as o on o.legacy_id = k.id
        where k.id is null or o.legacy_id is null or k.version is distinct from o.version
        on conflict do nothing`);
      await session.query(`
        update pg_temp.batch_ranges as b set source_rows = c.count
        from (
          select s.id / ${width} as range, count(*) as count
          from ${versionsOf(entity)} as s where ${inThem('s.id')} group by 1
        ) as c where c.range = b.range`);
    });
  }
  await session.query('analyze pg_temp.wanted');
}

/**
 * Rows in the source of the proven ranges, when the wanted ones have been read: as many as when the
 * sums were taken, without those that were not there any more.
 */
export async function countProven(session: Session, { width }: Shape): Promise<void> {
  await session.query(`
    update pg_temp.batch_ranges as b set source_rows = b.row_count - (
      select count(*) from pg_temp.wanted as w
      where w.legacy_key / ${width} = b.range
        and not exists (select from pg_temp.batch as r where r.legacy_key = w.legacy_key)
        and not exists (select from pg_temp.left_out as f where f.legacy_key = w.legacy_key))
    from pg_temp.proven as p where p.range = b.range`);
}

/** Keys and versions of the source rows the ledger knows, each in one place, as a sub-select. */
function knownRows({ entity }: Shape, where: (column: string) => string): string {
  const name = literal(entity.name);
  return `(
      select m.legacy_id, m.version from ids.${quoted(entity.name)} as m
      where ${where('m.legacy_id')} and not exists (
        select from migration.gone as g where g.entity = ${name} and g.legacy_id = m.legacy_id)
      union all
      select j.legacy_id, j.version from migration.rejects as j
      where j.entity = ${name} and j.resolved_run is null and ${where('j.legacy_id')}
      union all
      select f.legacy_id, f.version from migration.filtered as f
      where f.entity = ${name} and ${where('f.legacy_id')}
    )`;
}

/** What one row adds to the sums of its range, as `migration.range_sums` has it. */
function versionHash(sum: 'a' | 'b', version: string): string {
  const key = sum === 'a' ? 'n.legacy_key' : 'n.legacy_key # 1431655765';
  return `hashint8(hashint8(${key})::bigint # ${version})`;
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

/**
 * Equal basis = the file, the helper functions, the hash, what is looked up, and place and
 * definition of every source table that is read are the same.
 */
function basisOf(entity: Entity, functionsHash: string, seen: Seen, definitions: string): string {
  const parts = [entity.hash, functionsHash, String(HASH_METHOD), seen.basis, definitions];
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 32);
}

/** Where the tables that are read are, and how they are defined, as `takeSums` found them. */
export async function definitionsOf(
  session: Session,
  { reads }: Pick<Entity, 'reads'>,
): Promise<string> {
  const [row] = await session.query<{ definitions: string }>(
    `select coalesce(string_agg(concat_ws(' ', source_table, identity, definition), e'\\n'
       order by source_table), '') as definitions
     from migration.source_tables where source_table = any ($1)`,
    [reads],
  );
  return row?.definitions ?? '';
}

/** Ranges with rows that changed look-ups lead to. */
async function affectedRanges(session: Session, shape: Shape): Promise<number[]> {
  if (isWhole(shape)) return [];
  const rows = await session.query<{ range: number }>(
    `select distinct legacy_key / ${shape.width} as range from migration.affected
     where entity = $1 order by 1`,
    [shape.entity.name],
  );
  return rows.map((row) => row.range);
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

/** A range: what the source and the ledger say about it. */
type State = RangeSums & { state: 'same' | 'keys' | 'range'; rehash: boolean };

function cut(shape: Shape, states: State[], sourceRows: number, pieceRows: number): Piece[] {
  const changed = states.filter((state) => state.state !== 'same');
  if (changed.length === 0) return [];
  const whole = isWhole(shape);
  if (whole || shape.entity.idMaps.includes(shape.entity.name)) {
    const rehash = states.some((state) => state.rehash);
    return [{ kind: 'all', ranges: states, rows: sourceRows, rehash }];
  }
  const pieces: Piece[] = [];
  for (const { state, rehash, ...sums } of states) {
    if (state === 'same') {
      pieces.push({ kind: 'range', ranges: [], rows: 0, rehash });
      continue;
    }
    const kind = state === 'keys' && sourceRows >= SMALL ? 'keys' : 'range';
    const limit = kind === 'keys' ? KEYS_FACTOR * pieceRows : pieceRows;
    const last = pieces.at(-1);
    if (last !== undefined && last.kind === kind && last.rows + sums.row_count <= limit) {
      last.ranges.push(sums);
      last.rows += sums.row_count;
      last.rehash ||= rehash;
    } else {
      pieces.push({ kind, ranges: [sums], rows: sums.row_count, rehash });
    }
  }
  return pieces.filter((piece) => piece.ranges.length > 0);
}
