-- `diff`: what one view of an entity says, against what another one says of the same rows. Both are read
-- in one transaction, with the same id maps, and nothing of it stays.

-- The views as they are installed, {entity: text}, and the digest of the file each of them was made of.
create or replace function migration.installed_views()
returns table (entity text, text text, hash text, reads text[])
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.entity,
    format('create view transform.%I as %s', e.entity, pg_get_viewdef(c.oid)), e.defined_hash, e.reads
  from migration.entities as e
  join pg_class as c on c.oid = to_regclass(format('transform.%I', e.entity)) and c.relkind = 'v'
  where e.position is not null
  order by e.phase, e.position
$$;

-- Digest of the helper functions of the last run: they are one for both views.
create or replace function migration.last_functions() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select r.options ->> 'functionsHash' from migration.runs as r order by r.run desc limit 1
$$;

-- Makes room for the views of the files: those that are there go to schema `said_before`.
create or replace function migration.set_aside(names text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  name text;
begin
  create schema said_before;
  foreach name in array names loop
    execute format('alter view transform.%I set schema said_before', name);
  end loop;
end
$$;

-- What the two sides say of one entity (merge.<entity>_before and _after fill it).
create or replace function migration.begin_diff() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  drop table if exists pg_temp.said;
  create temporary table said (
    side text, legacy_key bigint, filter text, reject text, "values" text[]);
end
$$;

-- The difference: rows that are stored after and were not (come), that were and are not (go), those that
-- say something else, in which columns (was, is: the names of the values of each side); and the reasons
-- for which rows are rejected or left out. Of each the first five keys; values where they may be shown.
create or replace function migration.end_diff(was text[], "is" text[], show_data boolean)
returns json
language plpgsql set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
#variable_conflict use_variable
declare
  found json;
begin
  analyze pg_temp.said (side, legacy_key);
  with both_sides as materialized (
    select coalesce(b.legacy_key, a.legacy_key) as legacy_key,
      b.legacy_key is not null and b.filter is null and b.reject is null as was_stored,
      a.legacy_key is not null and a.filter is null and a.reject is null as is_stored,
      b.filter as was_filter, a.filter as is_filter, b.reject as was_reject, a.reject as is_reject,
      b."values" as was_values, a."values" as is_values
    from (select * from pg_temp.said as s where s.side = 'before') as b
    full join (select * from pg_temp.said as s where s.side = 'after') as a
      on a.legacy_key = b.legacy_key
    where (b.legacy_key, b.filter, b.reject) is distinct from (a.legacy_key, a.filter, a.reject)
      or was <> "is" or b."values" is distinct from a."values"
  ),
  names as (
    select n.name, array_position(was, n.name) as was_at, array_position("is", n.name) as is_at,
      row_number() over (order by coalesce(array_position("is", n.name), 1000), n.name) as place
    from (select unnest(was) union select unnest("is")) as n (name)
  ),
  cells as materialized (
    select d.legacy_key, n.name, n.place, n.was_at, n.is_at, d.was_values[n.was_at] as was_value,
      d.is_values[n.is_at] as is_value
    from both_sides as d cross join names as n
    where d.was_stored and d.is_stored
      and d.was_values[n.was_at] is distinct from d.is_values[n.is_at]
  ),
  reasons as (
    select r.kind, r.reason, r.legacy_key, r.comes
    from both_sides as d
    cross join lateral (values
      ('reject', d.was_reject, d.legacy_key, false),
      ('reject', d.is_reject, d.legacy_key, true),
      ('filter', d.was_filter, d.legacy_key, false),
      ('filter', d.is_filter, d.legacy_key, true)) as r (kind, reason, legacy_key, comes)
    where r.reason is not null and case r.kind
      when 'reject' then d.was_reject is distinct from d.is_reject
      else d.was_filter is distinct from d.is_filter end
  )
  select json_build_object(
    'compared', (select count(*) from pg_temp.said as s where s.side = 'after'),
    'stored', (
      select count(*) from pg_temp.said as s
      where s.side = 'after' and s.filter is null and s.reject is null),
    'come', count(*) filter (where d.is_stored and not d.was_stored),
    'comeKeys', coalesce(
      (array_agg(d.legacy_key order by d.legacy_key) filter (
        where d.is_stored and not d.was_stored))[:5], '{}'),
    'go', count(*) filter (where d.was_stored and not d.is_stored),
    'goKeys', coalesce(
      (array_agg(d.legacy_key order by d.legacy_key) filter (
        where d.was_stored and not d.is_stored))[:5], '{}'),
    'change', (select count(distinct c.legacy_key) from cells as c),
    'columns', (
      select coalesce(json_agg(k order by k.place), '[]')
      from (
        select c.name as column, c.place, c.was_at is null as added, c.is_at is null as dropped,
          count(*) as rows, (array_agg(c.legacy_key order by c.legacy_key))[:5] as keys,
          case when show_data then (array_agg(
            concat(coalesce(left(c.was_value, 40), 'NULL'), ' → ', coalesce(left(c.is_value, 40), 'NULL'))
            order by c.legacy_key))[:5] else '{}' end as "values"
        from cells as c group by c.name, c.place, c.was_at, c.is_at
      ) as k),
    'reasons', (
      select coalesce(json_agg(k order by k.kind, k.reason), '[]')
      from (
        select r.kind, r.reason, count(*) filter (where r.comes) as come,
          count(*) filter (where not r.comes) as go,
          (array_agg(r.legacy_key order by r.legacy_key))[:5] as keys
        from reasons as r group by r.kind, r.reason
      ) as k))
  into found
  from both_sides as d;
  return found;
end
$$;
