-- The application's own table of old and new ids (settings: mappings), kept in step with the id maps of
-- the entities that have a type there. Its columns: entity_type, legacy_id, new_id, migrated_at,
-- migration_batch. What it held before us is never read; it comes back with `down`.

-- That table; NULL where the project names none, or the target has none.
create or replace function migration.mapping_table() returns regclass
language sql stable set search_path = pg_catalog, pg_temp as $$
  select to_regclass(s.mappings) from migration.settings as s
$$;

-- An entity comes to it for the first time: every row of its type is kept as it was before us.
create or replace function migration.begin_mappings(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  known  migration.entities;
  target regclass := migration.mapping_table();
begin
  select e.* into strict known from migration.entities as e where e.entity = name;
  if known.mapping is null or known.mapped is not null or target is null then return; end if;
  execute format($q$
    insert into migration.mapping_images (entity, legacy_id, new_id, image, before_us, run)
    select $1, t.legacy_id, t.new_id, migration.image_of(t.*), true, migration.current_run()
    from %s as t where t.entity_type = $2
  $q$, target) using name, known.mapping;
  update migration.entities as e set mapped = known.mapping where e.entity = name;
end
$$;

-- Rows of a chunk, over an alias that has legacy_id: $1, $2 and $3 are its first key, end and keys, NULL = any.
create or replace function migration.within_chunk(alias text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select format('($1 is null or %1$s.legacy_id >= $1) and ($2 is null or %1$s.legacy_id < $2)'
    ' and ($3 is null or %1$s.legacy_id = any ($3))', alias)
$$;

-- Rows of a type that are not as the id map says go; those that are not as we left them with an image.
-- first_key, end_key, keys: as of a chunk; all of them NULL: every row. in_chunk: what the chunk has
-- removed is in pg_temp.gone.
create or replace function migration.drop_wrong_mappings(
  name text, first_key bigint, end_key bigint, keys bigint[], in_chunk boolean)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  type     text := (select e.mapped from migration.entities as e where e.entity = name);
  target   regclass := migration.mapping_table();
  wrong    text;
  is_wrong boolean;
begin
  wrong := format($q$
    %s as t
    -- joined to itself, or by `is distinct from`, it takes the square of its rows before it has statistics
    where t.entity_type = %L and not exists (
        select from ids.%I as m where m.legacy_id = t.legacy_id and m.id = t.new_id
          -- not all of the id map for some keys
          and %s)
      and %s
  $q$, target, type, name, migration.within_chunk('m'), migration.within_chunk('t'));
  -- as a rule there is none
  execute format('select exists (select from %s)', wrong) into is_wrong using first_key, end_key, keys;
  if not is_wrong then return; end if;
  execute format($q$
    insert into migration.mapping_images (entity, legacy_id, new_id, image, before_us, run)
    select %1$L, t.legacy_id, t.new_id, migration.image_of(t.*), not exists (
        select from ids.%1$I as m where m.legacy_id = t.legacy_id),
      migration.current_run()
    from %2$s %3$s and not exists (
      select from migration.mapping_images as i
      where i.entity = %1$L and i.legacy_id = t.legacy_id and i.new_id = t.new_id)
    for update of t
  $q$, name, wrong, case when in_chunk then
    'and not exists (select from pg_temp.gone as g'
    ' where g.legacy_key = t.legacy_id and g.id = t.new_id)' end)
  using first_key, end_key, keys;
  perform set_config('search_path', migration.application_path(), true);
  execute concat('delete from ', wrong) using first_key, end_key, keys;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
end
$$;

-- The keys of a chunk have the rows their id map says, in the transaction that writes it. Of keys, those
-- that have been in the id map before and stay are left alone: their rows are there.
create or replace function migration.keep_mappings(
  name text, first_key bigint, end_key bigint, keys bigint[])
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  type   text := (select e.mapped from migration.entities as e where e.entity = name);
  target regclass := migration.mapping_table();
begin
  if type is null or target is null then return; end if;
  if keys is not null then
    keys := array(
      select k from unnest(keys) as k where not exists (
        select from pg_temp.staged as b where b.legacy_key = k and b.known and b.reject is null));
    if keys = '{}' then return; end if;
  end if;
  perform migration.drop_wrong_mappings(name, first_key, end_key, keys, true);
  perform set_config('search_path', migration.application_path(), true);
  execute format($q$
    insert into %1$s (entity_type, legacy_id, new_id, migrated_at, migration_batch)
    select %2$L, m.legacy_id, m.id, r.started_at, r.run::text
    from ids.%3$I as m
    join migration.runs as r on r.run = migration.current_run()
    where %4$s and not exists (
      select from %1$s as t where t.entity_type = %2$L and t.legacy_id = m.legacy_id and %5$s)
    order by m.legacy_id
  $q$, target, type, name, migration.within_chunk('m'), migration.within_chunk('t')) using first_key, end_key, keys;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
end
$$;

-- An entity that was read whole is written: rows of keys that no chunk can be about go.
create or replace function migration.end_mappings(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  if migration.mapping_table() is null
    or not exists (select from migration.entities as e where e.entity = name and e.mapped is not null)
  then
    return;
  end if;
  perform migration.drop_wrong_mappings(name, null, null, null, false);
end
$$;

-- The table as it was before an entity came to it. Rows of its type that others have entered since, under
-- keys that were never ours, stay.
create or replace function migration.take_back_mappings(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  type   text := (select e.mapped from migration.entities as e where e.entity = name);
  target regclass := migration.mapping_table();
  part   record;
begin
  if type is not null and target is not null then
    perform set_config('search_path', migration.application_path(), true);
    execute format($q$
      delete from %s as t using (
        select m.legacy_id from ids.%I as m
        union
        select i.legacy_id from migration.mapping_images as i where i.entity = %L and i.before_us
      ) as k
      where t.entity_type = %L and t.legacy_id = k.legacy_id
    $q$, target, name, name, type);
    -- columns that are newer than the image have their default
    for part in
      select k.columns,
        string_agg(format('%I', c.name), ', ' order by c.place) as names,
        string_agg(c.value, ', ' order by c.place) as sources
      from (
        select distinct array(select k from json_object_keys(i.image) as k order by 1) as columns
        from migration.mapping_images as i where i.entity = name and i.before_us
      ) as k
      join migration.image_columns(target) as c on c.name = any (k.columns)
      group by k.columns
    loop
      execute format($q$
        insert into %1$s (%2$s) overriding system value select %3$s
        from migration.mapping_images as i, json_populate_record(null::%1$s, i.image) as r
        where i.entity = %4$L and i.before_us
          and array(select k from json_object_keys(i.image) as k order by 1) = $1
      $q$, target, part.names, part.sources, name) using part.columns;
    end loop;
    perform set_config('search_path', 'pg_catalog, pg_temp', true);
  end if;
  delete from migration.mapping_images as i where i.entity = name;
  update migration.entities as e set mapped = null where e.entity = name;
end
$$;

-- Where the table is not in step with the id maps: for check mappings.
create or replace function migration.mapping_faults()
returns table (
  entity_name text, entity_type text, fault text, row_count bigint, first_legacy_id bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
declare
  known  record;
  target regclass := migration.mapping_table();
begin
  if target is null then return; end if;
  for known in
    select e.entity, e.mapping from migration.entities as e
    where e.mapping is not null and migration.is_looked_at(e) order by e.entity
  loop
    return query execute format($q$
      with wrong as (
        select coalesce(m.legacy_id, t.legacy_id) as legacy_id,
          case
            when m.id is null then 'there is no such key'
            when t.new_id is null then 'missing'
            else 'leads to another row'
          end as fault
        from ids.%1$I as m
        full join (select o.legacy_id, o.new_id from %3$s as o where o.entity_type = %2$L) as t
          on t.legacy_id = m.legacy_id
        where m.id is distinct from t.new_id
      )
      select %1$L::text, %2$L::text, w.fault, count(*), min(w.legacy_id)
      from wrong as w group by w.fault order by w.fault
    $q$, known.entity, known.mapping, target);
  end loop;
end
$$;
