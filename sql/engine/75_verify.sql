-- `verify`: what is compared, and the results of merge.<entity>_verify in short.

-- Hashes of another method say nothing about the rows.
create or replace function migration.has_other_hashes(method integer) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from migration.ranges as r where r.method <> has_other_hashes.method)
$$;

-- Entities whose file is not the one they were last complete with: compared with the file as it is.
create or replace function migration.changed_files() returns table (entity text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.entity from migration.entities as e
  where e.position is not null and e.file_hash <> e.defined_hash
  order by e.phase, e.position
$$;

-- What to compare, in order: of each entity (with `names` of these only, otherwise of all that have
-- rows) pieces of about a million rows that together hold every key, new ones at the ends included: each
-- piece reads the look-ups again.
create or replace function migration.verify_pieces(names text[])
returns table (entity text, archive boolean, first_key bigint, end_key bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with placed as (
    select e.phase, e.position, e.entity, r.range * e.width as first_key,
      div(sum(r.source_rows) over (partition by e.entity order by r.range) - r.source_rows, 1000000)
        as piece
    from migration.entities as e
    left join migration.ranges as r on r.entity = e.entity and e.width > 0
    where (e.position is not null or e.phase = 'archive')
      and (case when cardinality(names) = 0 then e.status <> 'new' else e.entity = any (names) end)
  ),
  pieces as (
    select p.phase, p.position, p.entity, min(p.first_key) as first_key
    from placed as p group by p.phase, p.position, p.entity, p.piece
  )
  select p.entity, p.phase = 'archive',
    case when row_number() over entity > 1 then p.first_key end,
    lead(p.first_key) over entity
  from pieces as p
  window entity as (partition by p.entity order by p.first_key)
  order by p.phase, p.position, p.entity, p.first_key
$$;

-- A piece of an entity: per kind of finding the number of rows and the first 200 keys; `compared`
-- is to be summed, also over the row without kind. The link is open.
create or replace function migration.verify_piece(name text, first_key bigint, end_key bigint)
returns table (kind text, rows bigint, compared bigint, keys bigint[])
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return query execute format(
    'select v.kind, count(v.kind), sum(v.compared)::bigint,'
    ' (array_agg(v.legacy_key order by v.legacy_key))[:200]'
    ' from merge.%I($1, $2) as v group by 1', name || '_verify')
  using first_key, end_key;
end
$$;

-- The same of an archive table: its rows with those of `from_table`, value by value. Values are
-- compared with one another and nowhere else: some of them are secrets.
create or replace function migration.verify_archive(name text, from_table text)
returns table (kind text, rows bigint, compared bigint, keys bigint[])
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_nestloop = off
set enable_mergejoin = off
as $$
declare
  copy regclass := name::regclass;
  keys text[];
  key  text;
begin
  select migration.key_columns(e.source), migration.key_of(e.source, 'r') into keys, key
  from migration.entities as e where e.entity = name;
  return query execute format(
    'select b.kind, count(b.kind), count(*), (array_agg(b.legacy_key order by b.legacy_key))[:200]'
    ' from ('
    '   select coalesce(s.key, a.key) as legacy_key,'
    '     case when a.key is null then ''missing'' when s.key is null then ''surplus'''
    '       when s.text <> a.text then ''changed'' else null end as kind'
    '   from (select coalesce((%1$s)::bigint, 0) as key, r." copy", (r.*)::text as text from %2$s as r) as s'
    '   full join (select coalesce((%1$s)::bigint, 0) as key, r." copy", (r.*)::text as text from %3$s as r)'
    '     as a on a.key = s.key and a." copy" = s." copy"'
    ' ) as b group by 1', key, migration.archive_rows(copy, from_table::regclass, keys, from_table::regclass),
    migration.archive_rows(copy, from_table::regclass, keys, copy));
end
$$;

-- Rows of a phase that the application changed or deleted since we wrote them.
create or replace function migration.touched_rows(phase text) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  name  text;
  rows  bigint;
  total bigint := 0;
begin
  for name in
    select e.entity from migration.entities as e
    where e.phase = phase and e.position is not null order by e.position
  loop
    execute format('select merge.%I()', name || '_touched') into rows;
    total := total + rows;
  end loop;
  return total;
end
$$;
