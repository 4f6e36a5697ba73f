-- Old and new ids, for whoever asks: the application, a person at psql, `runner id`. Forwards it is
-- migration.new_id(entity, key), which needs no look-up (20_functions.sql), but for rows that were there before
-- us: these keep their ids, and only the id map knows them.

-- The source row that became a row of the target, in whatever table; none where it is not ours.
create or replace function migration.legacy_id(of_id uuid)
returns table (entity text, legacy_id bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  known record;
begin
  for known in
    select e.entity from migration.entities as e
    where to_regclass(format('ids.%I', e.entity)) is not null order by e.phase, e.position
  loop
    return query execute format(
      'select %L::text, m.legacy_id from ids.%I as m where m.id = $1', known.entity, known.entity)
    using of_id;
  end loop;
end
$$;

-- The key of a source row as a whole number, of what a person writes: the values of its columns, which
-- are named for who has to be told. NULL: these are no key.
create or replace function migration.given_key(
  of_entity text, given text[], out key bigint, out columns text[])
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  link migration.links;
begin
  select l.* into link from migration.entities as e
  join migration.links as l on l.source_table = e.source where e.entity = of_entity;
  columns := coalesce(link.key_columns, '{id}');
  if cardinality(given) <> cardinality(columns) then return; end if;
  if coalesce(link.is_number, true) then
    key := case when given[1] ~ '^\d{1,18}$' then given[1]::bigint end;
  else
    execute concat('select ', migration.number_of(
      array(select quote_literal(v) from unnest(given) as v)))
    into key;
  end if;
end
$$;

-- What became of a source row: `stored`, `rejected`, `left out`, `gone` (it was stored, and is no row to
-- store any more) or `unknown`. id: what it has, or would have
-- where that follows from the key. is_there: a row of the target has it.
create or replace function migration.what_became(
  of_entity text, of_key bigint, out id uuid, out target text, out state text, out reason text,
  out adopted boolean, out run bigint, out is_there boolean)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  select e.target into target from migration.entities as e where e.entity = of_entity;
  execute format('select m.id, m.adopted, m.run from ids.%I as m where m.legacy_id = $1', of_entity)
  into id, adopted, run using of_key;
  -- gone before rejected: of a row that was stored, that is what counts
  select o.state, o.reason, coalesce(o.run, run) into state, reason, run
  from (
    select 1 as place, 'gone' as state, g.reason, g.run
    from migration.gone as g where g.entity = of_entity and g.legacy_id = of_key
    union all
    select 2, 'rejected', r.reason, r.last_run
    from migration.rejects as r
    where r.entity = of_entity and r.legacy_id = of_key and r.resolved_run is null
    union all
    select 3, 'left out', f.reason, null
    from migration.filtered as f where f.entity = of_entity and f.legacy_id = of_key
    union all
    select 4, case when id is null then 'unknown' else 'stored' end, null, null
  ) as o
  order by o.place limit 1;
  if id is null and not migration.gives_ids(of_entity) then
    id := migration.new_id(of_entity, of_key);
  end if;
  execute format('select exists (select from %s as t where t.id = $1)', target)
  into is_there using id;
end
$$;

-- A page of an id map, behind a key.
create or replace function migration.id_page(of_entity text, behind bigint, most integer)
returns table (legacy_id bigint, id uuid)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query execute format(
    'select m.legacy_id, m.id from ids.%I as m where m.legacy_id > $1 order by 1 limit $2',
    of_entity)
  using behind, most;
end
$$;
