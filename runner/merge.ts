import type { Entity } from './catalog.ts';

/** A target column the view supplies. */
export interface Column {
  name: string;
  /** Type of the target column as PostgreSQL prints it: `character varying(50)`. */
  type: string;
  /** The hash of the type tells every two values apart; other columns are compared as text. */
  native: boolean;
}

/** What the catalogs of both sides say about an entity; everything the statements depend on. */
export interface Shape {
  entity: Entity;
  /** In the order of the view. */
  columns: Column[];
  has: { filter: boolean; missing: boolean; reject: boolean };
  /** The target table has BEFORE ROW triggers: what is stored may differ from what is written. */
  rewrites: boolean;
  /** The target table has a column created_at (the older of two rows is adopted). */
  createdAt: boolean;
  /** Unique keys of the target table whose columns the view supplies. */
  uniqueKeys: string[][];
  /** All entities of this target table, this one included: rows in any of their maps are ours. */
  siblings: string[];
  /** Keys per range (a range is `key / width`); 0 where one range holds the whole entity. */
  width: number;
}

/** Which keys a batch is about. `keys`: those in the temporary table `wanted`. */
export type Scope =
  | { kind: 'all' }
  | { kind: 'range'; from: number; end: number }
  | { kind: 'keys'; from?: number; end?: number };

/** Who wins when the application changed a row whose source changed too. */
export type ConflictPolicy = 'source' | 'target';

/**
 * Number of the hash method below; another number in the ledger = compare every row. 1 was the
 * native hash of every type but enum and json, which folds signs and scales.
 */
export const HASH_METHOD = 2;

/** True when one range holds the whole entity. */
export function isWhole(shape: Shape): boolean {
  return shape.entity.source === null || shape.entity.readWhole;
}

/** The temporary tables of one batch, empty. */
export function createBatch(shape: Shape): string {
  return `
drop table if exists pg_temp.batch, pg_temp.left_out, pg_temp.present, pg_temp.failed, pg_temp.gone;
create temporary table batch (
  legacy_key bigint primary key,
${shape.columns.map((column) => `  ${quoted(column.name)} ${batchType(column)},`).join('\n')}
  missing text, reject text, version bigint, row_hash bigint,
  target_id uuid, known boolean not null default false,
  known_hash bigint, known_written bigint,
  adopted boolean not null default false, adopting boolean not null default false,
  stored_hash bigint
);
create temporary table left_out (legacy_key bigint primary key, reason text, version bigint);
create temporary table present (
  legacy_key bigint primary key, target_id uuid, differs boolean, touched boolean
);
create temporary table failed (
  legacy_key bigint primary key, code text, constraint_name text, column_name text
);
create temporary table gone (legacy_key bigint primary key, id uuid, reason text)`;
}

/** Rows to store (and rows with a reject reason) of a scope, from the view into `batch`. */
export function fillBatch(shape: Shape, scope: Scope): string {
  const { entity } = shape;
  const names = shape.columns.map((column) => quoted(column.name));
  return `
insert into pg_temp.batch (
  legacy_key, ${names.join(', ')},
  missing, reject, version, row_hash, target_id, known, known_hash, known_written, adopted)
select
  v.legacy_key, ${names.map((name) => `v.${name}`).join(', ')},
  v.missing, v.reject, ${entity.source === null ? '0' : 's.version'},
  ${hash(shape, 'v')},
  coalesce(m.id, migration.new_id(${literal(entity.name)}, v.legacy_key)),
  m.legacy_id is not null, m.row_hash, m.written_hash, coalesce(m.adopted, false)
from ${viewRows(shape, scope)} as v
${versionJoin(entity, scope, 'v')}left join ids.${quoted(entity.name)} as m
  on m.legacy_id = v.legacy_key and ${within(scope, 'm.legacy_id')}`;
}

/**
 * The rows of a scope that are not filtered, as a sub-select: legacy_key, the columns, missing,
 * reject. The barrier (offset 0) keeps the planner from computing every expression twice.
 */
export function viewRows(shape: Shape, scope: Scope): string {
  const { entity } = shape;
  return `(
  select e.legacy_key, ${shape.columns.map((c) => `e.${quoted(c.name)}`).join(', ')},
    ${shape.has.missing ? 'e.missing' : 'null::text as missing'},
    ${shape.has.reject ? 'e.reject' : 'null::text as reject'}
  from transform.${quoted(entity.name)} as e
  where ${within(scope, 'e.legacy_key')}${shape.has.filter ? ' and e.filter is null' : ''}
  offset 0
)`;
}

/** Rows left out on purpose, with their reason; undefined where the view has no filter. */
export function fillLeftOut(shape: Shape, scope: Scope): string | undefined {
  if (!shape.has.filter) return undefined;
  const { entity } = shape;
  return `
insert into pg_temp.left_out (legacy_key, reason, version)
select v.legacy_key, v.filter, ${entity.source === null ? '0' : 's.version'}
from (
  select e.legacy_key, e.filter from transform.${quoted(entity.name)} as e
  where ${within(scope, 'e.legacy_key')} and e.filter is not null
  offset 0
) as v
${versionJoin(entity, scope, 'v')}`;
}

/** Rows in the source per range, in the snapshot that reads the rows: range, count. */
export function countSource(shape: Shape, scope: Scope): string {
  if (shape.entity.source === null) return `select 0::bigint as range, 1::bigint as count`;
  const range = isWhole(shape) ? '0::bigint' : `s.id / ${shape.width}`;
  return `select ${range} as range, count(*) as count
from ${versionsOf(shape.entity)} as s where ${within(scope, 's.id')} group by 1`;
}

/** The table of (id, version) of the driving table. */
export function versionsOf(entity: Entity): string {
  return `legacy_versions.${quoted(entity.source ?? '')}`;
}

/** Recognises target rows that were there before us and are in no id map of this table. */
export function adopt(shape: Shape): string | undefined {
  const { entity } = shape;
  if (entity.adopt.length === 0) return undefined;
  const equal = entity.adopt.map((name) => `t.${quoted(name)} = b.${quoted(name)}`);
  // a row that has another unique key of the new one, too, would be in its way
  const unique = shape.uniqueKeys.map((key) => {
    const same = key.map((name) => `t.${quoted(name)} = b.${quoted(name)}`);
    return `coalesce(${same.join(' and ')}, false) desc`;
  });
  const ours = shape.siblings.map(
    (name) => `and not exists (select from ids.${quoted(name)} as m where m.id = t.id)`,
  );
  return `
with candidates as (
  select
    b.legacy_key, t.id,
    row_number() over (
      partition by b.legacy_key
      order by ${[...unique, ...(shape.createdAt ? ['t.created_at'] : []), 't.id'].join(', ')}
    ) as choice,
    row_number() over (partition by t.id order by b.legacy_key) as claim
  from pg_temp.batch as b
  join ${targetOf(entity)} as t on ${equal.join(' and ')}
  where not b.known and b.reject is null
  ${ours.join('\n  ')}
)
update pg_temp.batch as b set target_id = c.id, adopting = true
from candidates as c
where c.legacy_key = b.legacy_key and c.choice = 1 and c.claim = 1`;
}

/** For an entity that mentions its own id map: the ids of all its rows, before the rows. */
export function enterIds(shape: Shape, run: number): string {
  return `
insert into ids.${quoted(shape.entity.name)} (legacy_id, id, adopted, run)
select b.legacy_key, b.target_id, b.adopting, ${run}
from pg_temp.batch as b where not b.known and b.reject is null`;
}

/** Ids entered for rows that the target then refused: nothing may point at them. */
export function dropBareIds(shape: Shape): string {
  return `
delete from ids.${quoted(shape.entity.name)} as m using pg_temp.batch as b
where m.legacy_id = b.legacy_key and b.reject is not null and m.row_hash is null`;
}

/**
 * Target rows the batch will meet; locked, so that the application cannot change them meanwhile.
 * `rehash`: what was written is not known by its hash, only by the marks of our transactions.
 */
export function findPresent(shape: Shape, rehash: boolean): string {
  const { entity } = shape;
  const changed = rehash
    ? 'not exists (select from migration.writes as w where w.xmin = t.xmin)'
    : `${hash(shape, 't')} <> b.known_written`;
  return `
insert into pg_temp.present (legacy_key, target_id, differs, touched)
select
  b.legacy_key, b.target_id,
  ${differs(shape, 't', 'b')},
  b.known and b.known_written is not null and ${changed}
from pg_temp.batch as b
join ${targetOf(entity)} as t on t.id = b.target_id
where ${toWrite('b')}
for update of t;
update pg_temp.batch as b set adopting = true
from pg_temp.present as p
where p.legacy_key = b.legacy_key and b.known_written is null and not b.adopted`;
}

/**
 * For hashes of another method: rows the application changed or deleted, and whose source row is
 * the same version, are as little ours to write as they were before.
 */
export function leaveTouched(shape: Shape): string {
  return `
update pg_temp.batch as b set known_hash = b.row_hash
from ids.${quoted(shape.entity.name)} as m
where m.legacy_id = b.legacy_key and m.version = b.version
  and b.reject is null and b.known_written is not null
  and not exists (
    select from pg_temp.present as p where p.legacy_key = b.legacy_key and not p.touched);
delete from pg_temp.present as p using pg_temp.batch as b
where b.legacy_key = p.legacy_key and b.known_hash = b.row_hash`;
}

/** Old images of rows of the application that are about to be overwritten. */
export function keepImages(shape: Shape, run: number, policy: ConflictPolicy): string {
  const { entity } = shape;
  return `
insert into migration.before_images (entity, legacy_id, id, reason, image, run)
select ${literal(entity.name)}, p.legacy_key, p.target_id,
  case when p.touched then 'changed' else 'adopted' end, row_to_json(t), ${run}
from pg_temp.present as p
join pg_temp.batch as b on b.legacy_key = p.legacy_key
join ${targetOf(entity)} as t on t.id = p.target_id
where ${overwritten(policy, 'p')} and (p.touched or ((b.adopting or b.adopted) and not exists (
  select from migration.before_images as i
  where i.entity = ${literal(entity.name)} and i.id = p.target_id)))`;
}

/** Rows that both sides changed, and rows the application deleted while their source changed. */
export function noteConflicts(shape: Shape, run: number, policy: ConflictPolicy): string {
  return `
insert into migration.conflicts (entity, legacy_id, id, kind, resolution, run)
select ${literal(shape.entity.name)}, b.legacy_key, b.target_id,
  case when p.legacy_key is null then 'deleted' else 'changed' end, '${policy}', ${run}
from pg_temp.batch as b
left join pg_temp.present as p on p.legacy_key = b.legacy_key
where ${toWrite('b')} and b.known and b.known_written is not null
  and (p.legacy_key is null or (p.touched and p.differs))`;
}

/** Leaves the mark of this subtransaction: rows with another xmin were changed by somebody else. */
export function markWrite(run: number): string {
  return `insert into migration.writes (run) values (${run})`;
}

/** Writes changed rows. `one` restricts it to the key in that variable (row by row). */
export function updateRows(shape: Shape, policy: ConflictPolicy, one?: string): string {
  const { entity } = shape;
  const set = shape.columns.map((c) => `${quoted(c.name)} = b.${quoted(c.name)}`);
  return `
update ${targetOf(entity)} as t
set ${set.join(', ')}
from pg_temp.batch as b join pg_temp.present as p on p.legacy_key = b.legacy_key
where t.id = p.target_id and b.reject is null and ${overwritten(policy, 'p')}
${one === undefined ? '' : `  and b.legacy_key = ${one}`}`;
}

/** Writes new rows. `one` restricts it to the key in that variable (row by row). */
export function insertRows(shape: Shape, policy: ConflictPolicy, one?: string): string {
  const { entity } = shape;
  const names = shape.columns.map((column) => quoted(column.name));
  return `
insert into ${targetOf(entity)} (id, ${names.join(', ')})
select b.target_id, ${shape.columns.map((c) => `b.${quoted(c.name)}`).join(', ')}
from pg_temp.batch as b
where ${toInsert(policy)}
${one === undefined ? 'order by b.legacy_key' : `  and b.legacy_key = ${one}`}`;
}

/** The same two statements key by key; what class 22 or 23 refuses goes to `failed`. */
export function writeRowByRow(shape: Shape, run: number, policy: ConflictPolicy): string {
  return `
do $rows$
declare
  current_key bigint;
  remaining bigint := null;
  before bigint;
  updated bigint;
  inserted bigint;
  written bigint := 0;
  failure_code text;
  failure_constraint text;
  failure_column text;
begin
  -- again as long as that helps: a row may need one that comes later
  loop
    before := remaining;
    for current_key in
      select b.legacy_key from pg_temp.batch as b
      where ${toWrite('b')} and (before is null or exists (
        select from pg_temp.failed as f where f.legacy_key = b.legacy_key))
      order by 1
    loop
      begin
        delete from pg_temp.failed as f where f.legacy_key = current_key;
        ${updateRows(shape, policy, 'current_key').trim()};
        get diagnostics updated = row_count;
        ${insertRows(shape, policy, 'current_key').trim()};
        get diagnostics inserted = row_count;
        set constraints all immediate;
        ${markWrite(run)};
        -- last: a variable is not rolled back
        written := written + updated + inserted;
      exception when data_exception or integrity_constraint_violation then
        get stacked diagnostics failure_code = returned_sqlstate,
          failure_constraint = constraint_name, failure_column = column_name;
        insert into pg_temp.failed (legacy_key, code, constraint_name, column_name)
        values (current_key, failure_code, failure_constraint, failure_column)
        on conflict (legacy_key) do update set code = excluded.code,
          constraint_name = excluded.constraint_name, column_name = excluded.column_name;
      end;
    end loop;
    remaining := (select count(*) from pg_temp.failed as f);
    exit when remaining = 0 or remaining = before;
  end loop;
  update pg_temp.batch as b set reject = concat('error_', f.code)
  from pg_temp.failed as f where f.legacy_key = b.legacy_key;
  if written <> (
    select count(*) from pg_temp.batch as b
    left join pg_temp.present as p on p.legacy_key = b.legacy_key
    where (${toInsert(policy)}) or (b.reject is null and ${overwritten(policy, 'p')})
  ) then
    raise exception '%: a trigger or rule of the table drops rows', ${literal(shape.entity.target.table)};
  end if;
end
$rows$`;
}

/** What the write was about: rows to insert, to update, left to the application, new in the id map. */
export function countActions(policy: ConflictPolicy): string {
  return `
select
  count(*) filter (where b.reject is null) as read,
  count(*) filter (where ${toInsert(policy)}) as inserted,
  count(*) filter (where b.reject is null and ${overwritten(policy, 'p')}) as updated,
  count(*) filter (where ${isKept(policy)}) as kept,
  count(*) filter (where b.reject is null and b.known_hash is null) as entered
from pg_temp.batch as b
left join pg_temp.present as p on p.legacy_key = b.legacy_key`;
}

/** Hash of what is really stored, where triggers of the table may have changed it. */
export function hashStored(shape: Shape): string | undefined {
  if (!shape.rewrites) return undefined;
  return `
update pg_temp.batch as b set stored_hash = ${hash(shape, 't')}
from ${targetOf(shape.entity)} as t
where t.id = b.target_id and ${toWrite('b')}`;
}

/** Mapped keys of the scope that are no longer a row to store, with the reason. */
export function findGone(shape: Shape, scope: Scope): string {
  return `
insert into pg_temp.gone (legacy_key, id, reason)
select m.legacy_id, m.id,
  case when b.legacy_key is not null then 'rejected'
    when f.legacy_key is not null then 'filtered' else 'deleted' end
from ids.${quoted(shape.entity.name)} as m
left join pg_temp.batch as b on b.legacy_key = m.legacy_id
left join pg_temp.left_out as f on f.legacy_key = m.legacy_id
where ${within(scope, 'm.legacy_id')} and (b.legacy_key is null or b.reject is not null)`;
}

/** Rows the application changed or deleted since we wrote them. */
export function countTouched(shape: Shape): string {
  return `
select count(*) as count
from ids.${quoted(shape.entity.name)} as m
left join ${targetOf(shape.entity)} as t on t.id = m.id
where t.id is null or ${hash(shape, 't')} is distinct from m.written_hash`;
}

/**
 * `deletes remove`: target rows and map entries go. What the application wrote leaves an image, even
 * a second one: only `removed` says that the row was the application's and `down` brings it back.
 */
export function removeGone(shape: Shape, run: number): string[] {
  const { entity } = shape;
  const map = `ids.${quoted(entity.name)}`;
  return [
    `
insert into migration.before_images (entity, legacy_id, id, reason, image, run)
select ${literal(entity.name)}, g.legacy_key, g.id,
  case when m.adopted then 'removed' else 'changed' end, row_to_json(t), ${run}
from pg_temp.gone as g
join ${map} as m on m.legacy_id = g.legacy_key
join ${targetOf(entity)} as t on t.id = g.id
where m.adopted or ${hash(shape, 't')} is distinct from m.written_hash`,
    `delete from ${targetOf(entity)} as t using pg_temp.gone as g where t.id = g.id`,
    `delete from ${map} as m using pg_temp.gone as g where m.legacy_id = g.legacy_key`,
  ];
}

/** `deletes keep`: lists what is gone, and takes back what has come back. */
export function listGone(shape: Shape, scope: Scope, run: number): string[] {
  const name = literal(shape.entity.name);
  return [
    `
delete from migration.gone as g
where g.entity = ${name} and ${within(scope, 'g.legacy_id')}
  and not exists (select from pg_temp.gone as n where n.legacy_key = g.legacy_id)`,
    `
insert into migration.gone (entity, legacy_id, id, reason, run)
select ${name}, n.legacy_key, n.id, n.reason, ${run} from pg_temp.gone as n
on conflict (entity, legacy_id) do update set reason = excluded.reason
where migration.gone.reason <> excluded.reason`,
  ];
}

/** Id map, rejects and filtered rows of the scope, after the rows are written. */
export function enterLedger(shape: Shape, scope: Scope, run: number, policy: ConflictPolicy) {
  const map = `ids.${quoted(shape.entity.name)}`;
  const name = literal(shape.entity.name);
  const stored = shape.rewrites ? 'coalesce(b.stored_hash, b.row_hash)' : 'b.row_hash';
  return [
    `
insert into ${map} (legacy_id, id, version, row_hash, written_hash, missing, adopted, run)
select b.legacy_key, b.target_id, b.version, b.row_hash, ${stored}, b.missing, b.adopting, ${run}
from pg_temp.batch as b where not b.known and b.reject is null order by 1`,
    `
update ${map} as m
set version = b.version, row_hash = b.row_hash, missing = b.missing, run = ${run},
  adopted = m.adopted or b.adopting,
  written_hash = case when ${toWrite('b')} and not (${isKept(policy)}) then ${stored}
    else m.written_hash end
from pg_temp.batch as b
left join pg_temp.present as p on p.legacy_key = b.legacy_key
where m.legacy_id = b.legacy_key and b.known and b.reject is null
  and (m.version, m.row_hash, m.missing) is distinct from (b.version, b.row_hash, b.missing)`,
    `
update migration.rejects as r set resolved_run = ${run}
where r.entity = ${name} and r.resolved_run is null and ${within(scope, 'r.legacy_id')}
  and not exists (
    select from pg_temp.batch as b where b.legacy_key = r.legacy_id and b.reject is not null)`,
    `
insert into migration.rejects as r (entity, legacy_id, kind, reason, sqlstate, constraint_name,
  column_name, version, first_run, last_run)
select ${name}, b.legacy_key, case when f.legacy_key is null then 'rule' else 'error' end,
  b.reject, f.code, nullif(f.constraint_name, ''), nullif(f.column_name, ''), b.version,
  ${run}, ${run}
from pg_temp.batch as b left join pg_temp.failed as f on f.legacy_key = b.legacy_key
where b.reject is not null
on conflict (entity, legacy_id) do update set
  kind = excluded.kind, reason = excluded.reason, sqlstate = excluded.sqlstate,
  constraint_name = excluded.constraint_name, column_name = excluded.column_name,
  source_row = case when r.version = excluded.version then r.source_row end,
  version = excluded.version, last_run = excluded.last_run, resolved_run = null`,
    ...(shape.has.filter
      ? [
          `
delete from migration.filtered as f
where f.entity = ${name} and ${within(scope, 'f.legacy_id')}
  and not exists (select from pg_temp.left_out as l where l.legacy_key = f.legacy_id)`,
          `
insert into migration.filtered as f (entity, legacy_id, reason, version)
select ${name}, l.legacy_key, l.reason, l.version from pg_temp.left_out as l order by 2
on conflict (entity, legacy_id) do update
set reason = excluded.reason, version = excluded.version
where (f.reason, f.version) is distinct from (excluded.reason, excluded.version)`,
        ]
      : []),
  ];
}

/**
 * Checkpoint of the ranges in the temporary table `batch_ranges`, with the state each range is in
 * now: merged, rejected and filtered are counted where they are kept, not where they were made.
 */
export function enterRanges(shape: Shape, basis: string, seen: string, run: number): string {
  const name = literal(shape.entity.name);
  const inRange = (column: string) =>
    isWhole(shape)
      ? 'true'
      : `${column} >= r.range * ${shape.width} and ${column} < (r.range + 1) * ${shape.width}`;
  return `
insert into migration.ranges (entity, range, row_count, sum_a, sum_b, basis, source_rows,
  merged, rejected, filtered, run, seen, method)
select ${name}, r.range, r.row_count, r.sum_a, r.sum_b, ${literal(basis)}, r.source_rows,
  (select count(*) from ids.${quoted(shape.entity.name)} as m where ${inRange('m.legacy_id')})
    - (select count(*) from migration.gone as g
       where g.entity = ${name} and ${inRange('g.legacy_id')}),
  (select count(*) from migration.rejects as j
   where j.entity = ${name} and j.resolved_run is null and ${inRange('j.legacy_id')}),
  (select count(*) from migration.filtered as f
   where f.entity = ${name} and ${inRange('f.legacy_id')}),
  ${run}, ${literal(seen)}, ${HASH_METHOD}
from pg_temp.batch_ranges as r
on conflict (entity, range) do update set
  row_count = excluded.row_count, sum_a = excluded.sum_a, sum_b = excluded.sum_b,
  basis = excluded.basis, source_rows = excluded.source_rows, merged = excluded.merged,
  rejected = excluded.rejected, filtered = excluded.filtered, run = excluded.run,
  seen = excluded.seen, method = excluded.method`;
}

/** The source rows of open rejects that have none yet. */
export function keepRejectedRows(shape: Shape, one = false): string | undefined {
  const { entity } = shape;
  if (entity.source === null) return undefined;
  const open = `r.entity = ${literal(entity.name)} and r.resolved_run is null
    and r.source_row is null`;
  const table = `legacy.${quoted(entity.source)}`;
  if (!one) {
    return `
update migration.rejects as r set source_row = to_jsonb(s)
from ${table} as s
where ${open} and s.id = r.legacy_id
  and s.id = any ((select array_agg(r.legacy_id) from migration.rejects as r where ${open})::bigint[])`;
  }
  return `
do $keep$
declare
  current_key bigint;
begin
  for current_key in select r.legacy_id from migration.rejects as r where ${open} loop
    begin
      update migration.rejects as r set source_row = to_jsonb(s)
      from ${table} as s
      where ${open} and s.id = r.legacy_id and r.legacy_id = current_key and s.id = current_key;
    exception when data_exception then
      -- unreadable by nature; the key and the error are what is kept
      null;
    end;
  end loop;
end
$keep$`;
}

/** Everything a batch runs, for reading: `runner plan --sql`. */
export function explain(shape: Shape, policy: ConflictPolicy): string {
  const scope: Scope = isWhole(shape)
    ? { kind: 'all' }
    : { kind: 'range', from: 0, end: shape.width };
  const parts = [
    createBatch(shape),
    fillBatch(shape, scope),
    fillLeftOut(shape, scope),
    adopt(shape),
    findPresent(shape, false),
    findGone(shape, scope),
    ...(shape.entity.deletes === 'remove' ? removeGone(shape, 0) : listGone(shape, scope, 0)),
    keepImages(shape, 0, policy),
    noteConflicts(shape, 0, policy),
    updateRows(shape, policy),
    insertRows(shape, policy),
    hashStored(shape),
    ...enterLedger(shape, scope, 0, policy),
    enterRanges(shape, '<basis>', '<seen>', 0),
  ];
  return parts
    .filter((part) => part !== undefined)
    .map((part) => `${part.trim()};`)
    .join('\n\n');
}

/** A name as an identifier. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as a literal. */
export function literal(text: string): string {
  return text.includes('\\')
    ? `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`;
}

/** A condition that restricts a key column to the scope. */
export function within(scope: Scope, column: string): string {
  if (scope.kind === 'all') return 'true';
  if (scope.kind === 'range') {
    return `${column} >= ${scope.from} and ${column} < ${scope.end}`;
  }
  // an array reaches the source as a parameter; a sub-select or a join would not
  const part =
    scope.from === undefined
      ? ''
      : ` where w.legacy_key >= ${scope.from} and w.legacy_key < ${scope.end}`;
  return `${column} = any (
    (select array_agg(w.legacy_key) from pg_temp.wanted as w${part})::bigint[])`;
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

/** A condition that restricts a key column to ranges. */
export function inside(
  ranges: readonly { range: number }[],
  width: number,
): (column: string) => string {
  const parts = intervals(ranges, width);
  return (column) =>
    `(${parts.map(([from, end]) => `(${column} >= ${from} and ${column} < ${end})`).join(' or ')})`;
}

/** The target table, qualified. */
export function targetOf(entity: Entity): string {
  return `${quoted(entity.target.schema)}.${quoted(entity.target.table)}`;
}

function versionJoin(entity: Entity, scope: Scope, from: string): string {
  if (entity.source === null) return '';
  return `left join ${versionsOf(entity)} as s
  on s.id = ${from}.legacy_key and ${within(scope, 's.id')}
`;
}

/** Batch rows that are new or whose hash is not the one we wrote last. */
function toWrite(batch: string): string {
  return `${batch}.reject is null and ${batch}.known_hash is distinct from ${batch}.row_hash`;
}

function toInsert(policy: ConflictPolicy): string {
  const deleted = policy === 'target' ? ' and not (b.known and b.known_written is not null)' : '';
  return `${toWrite('b')} and not exists (
    select from pg_temp.present as q where q.legacy_key = b.legacy_key)${deleted}`;
}

function overwritten(policy: ConflictPolicy, present: string): string {
  const kept = policy === 'target' ? ` and not ${present}.touched` : '';
  return `coalesce(${present}.differs${kept}, false)`;
}

/** Rows left to the application: changed or deleted by it, under the policy `target`. */
function isKept(policy: ConflictPolicy): string {
  if (policy === 'source') return 'false';
  return `${toWrite('b')} and b.known and b.known_written is not null
    and (p.legacy_key is null or (p.touched and p.differs))`;
}

/** Text, not varchar(n), so that a value that is too long is an error and not cut. */
function batchType(column: Column): string {
  return isText(column.type) ? 'text' : column.type;
}

/** True for text and varchar, as `format_type` prints them; not for arrays of them. */
export function isText(type: string): boolean {
  return /^(text|character varying(\(\d+\))?)$/.test(type);
}

/** Hash method 2: the columns in the order of the view, each as `comparable` has it. */
export function hash(shape: Shape, from: string): string {
  const values = shape.columns.map((column) => comparable(column, from));
  return `hash_record_extended(row(${values.join(', ')}), 0)`;
}

function differs(shape: Shape, left: string, right: string): string {
  const of = (from: string) => shape.columns.map((column) => comparable(column, from)).join(', ');
  return `row(${of(left)}) is distinct from row(${of(right)})`;
}

/** A column as it is compared and hashed: two values are equal where their texts are. */
export function comparable(column: Column, from: string): string {
  const value = `${from}.${quoted(column.name)}`;
  return column.native ? value : `${value}::text collate "C"`;
}
