-- Secrets of the source that a former migration has left in tables of the application: where they are,
-- and how they are cleared. They are read from the source by the statement that looks for them, and
-- stand in no statement, parameter or plan: what logs statements or plans has nothing to log.

-- Tables that are looked through for them, with the columns that may hold one: texts of the schemas
-- entities write to. With the setting migration.phase those of its entities, for the archive those of no
-- entity.
create or replace function migration.secret_places()
returns table (place regclass, column_name text, required boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with known as (
    select to_regclass(e.target) as place, e.phase from migration.entities as e
    where e.position is not null
  ),
  phase as (
    select coalesce(current_setting('migration.phase', true), '') as name
  )
  select c.oid::regclass, a.attname::text, a.attnotnull
  from pg_class as c
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_type as t on t.oid = a.atttypid and t.typcategory = 'S'
  cross join phase as p
  where c.relkind in ('r', 'p') and not c.relispartition and a.attgenerated = ''
    and c.relnamespace in (
      select o.relnamespace from known as k join pg_class as o on o.oid = k.place)
    -- too short for one
    and not (a.atttypid = 'varchar'::regtype and a.atttypmod between 4 and 19)
    and case p.name
      when '' then true
      when 'archive' then c.oid not in (select k.place from known as k where k.place is not null)
      else c.oid in (select k.place from known as k where k.phase = p.name)
    end
  order by c.oid::regclass::text, a.attnum
$$;

-- The statement that yields the secrets of a source column, as a query of the target. Shorter ones, and
-- none at all, may be equal to what is no secret.
create or replace function migration.secret_query(source_table text, secret text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format(
    'select d.secret from extensions.dblink(''versions'', %L) as d (secret text)',
    format('select distinct s.%1$I::text from %2$s as s where octet_length(s.%1$I::text) >= 16',
      secret, migration.source_name(source_table)))
$$;

-- How many rows hold a secret of the source, by column. The link is open.
create or replace function migration.leaked_secrets(source_table text, secret text)
returns table (place regclass, column_name text, required boolean, row_count bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off as $$
declare
  secrets text := migration.secret_query($1, $2);
  lengths integer[];
  part    record;
  is_near boolean;
begin
  perform migration.connect_versions();
  execute format('select array_agg(distinct octet_length(s.secret)) from (%s) as s', secrets)
  into lengths;
  for part in
    select p.place, string_agg(format('(%L, %L::boolean, t.%I::text)', p.column_name, p.required,
      p.column_name), ', ') as texts,
      string_agg(format('octet_length(t.%I::text) = any ($1)', p.column_name), ' or ') as near
    from migration.secret_places() as p group by p.place order by p.place::text
  loop
    -- by their length first: few texts are looked at further, and most tables have none
    execute format('select exists (select from %s as t where %s)', part.place, part.near)
    into is_near using lengths;
    continue when not is_near;
    return query execute format($q$
      with secrets as materialized (%3$s)
      select %4$L::regclass, v.name, v.required, count(*)
      from %1$s as t cross join lateral (values %2$s) as v (name, required, text)
      where (%5$s) and octet_length(v.text) = any ($1)
        and v.text in (select s.secret from secrets as s)
      group by 2, 3 order by 2
    $q$, part.place, part.texts, secrets, part.place, part.near) using lengths;
  end loop;
end
$$;

-- Clears them: NULL, or an empty text where a column is required; in the images of the ledger, too, so
-- that `down` does not bring them back. No image is kept. Rows that were as we left them are so
-- afterwards. Returns {"schema.table.column": rows}; with rows, that is an event.
create or replace function migration.clear_leaked_secrets(source_table text, secret text)
returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off as $$
#variable_conflict use_variable
declare
  secrets text := migration.secret_query(source_table, secret);
  part    record;
  ours    boolean;
  cleared jsonb := '{}';
begin
  for part in select * from migration.leaked_secrets(source_table, secret) loop
    foreach ours in array array[true, false] loop
      begin
        perform set_config('search_path', migration.application_path(), true);
        execute format($q$
          with secrets as materialized (%1$s)
          update %2$s as t set %3$I = %4$s
          where t.%3$I::text in (select s.secret from secrets as s)
            and %5$L = (exists (select from migration.writes as w where w.xmin = t.xmin)
              or coalesce(age(t.xmin) > migration.restored_age(), false))
        $q$, secrets, part.place, part.column_name,
          case when part.required then '''''' else 'null' end, ours);
        perform set_config('search_path', 'pg_catalog, pg_temp', true);
        if ours then
          insert into migration.writes (run) values (migration.current_run());
        end if;
      exception when data_exception or integrity_constraint_violation then
        perform migration.refuse_unsaid(sqlstate, part.place::text, part.column_name, '');
      end;
    end loop;
    execute format($q$
      with secrets as materialized (%1$s)
      update migration.before_images as i
      set image = (
        select json_object_agg(v.key, case when v.key <> $2 then v.value end)
        from json_each(i.image) as v)
      from migration.entities as e
      where e.entity = i.entity and to_regclass(e.target) = $1
        and i.image ->> $2 in (select s.secret from secrets as s)
    $q$, secrets) using part.place, part.column_name;
    cleared := cleared || jsonb_build_object(
      format('%s.%s', part.place, part.column_name), part.row_count);
  end loop;
  if cleared <> '{}' then
    perform migration.record_event(migration.current_run(), 'leaked secrets cleared', cleared);
  end if;
  return cleared;
end
$$;
