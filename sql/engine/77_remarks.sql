-- What a migration that is right has to say all the same: for checks that warn. None of these functions
-- writes but the last.

-- Entities of a table that have state, and a condition by which a row `t` of it is in none of their maps.
create or replace function migration.not_mapped(target regclass) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(string_agg(
    format('not exists (select from ids.%I as o where o.id = t.id)', e.entity), ' and '), 'true')
  from migration.entities as e
  where to_regclass(e.target) = not_mapped.target and to_regclass(format('ids.%I', e.entity)) is not null
$$;

-- Rows that are NULL in columns whose NOT NULL was lifted, {{table, column}}: their number, and the first
-- ten keys, `entity key`; of rows that are in no id map their ids. A column that is required again, or
-- not there, is left out.
create or replace function migration.relaxed_nulls(relaxed text[])
returns table (table_name text, column_name text, row_count bigint, first_keys text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  part record;
begin
  for part in
    select r.place::regclass as target, r.attname as name,
      coalesce((
        select string_agg(format(
          'select m.id, concat(%1$L, '' '', m.legacy_id) as key, m.legacy_id from ids.%1$I as m',
          e.entity), ' union all ')
        from migration.entities as e
        where to_regclass(e.target) = r.place
          and to_regclass(format('ids.%I', e.entity)) is not null),
        'select null::uuid as id, null::text as key, null::bigint as legacy_id') as maps
    from (
      select i, a.attrelid as place, a.attname
      from generate_subscripts(relaxed, 1) as i
      join pg_attribute as a on a.attrelid = to_regclass(relaxed[i][1])
        and a.attname = relaxed[i][2] and not a.attisdropped and not a.attnotnull
    ) as r
    order by r.i
  loop
    return query execute format($q$
      with empty as materialized (select t.id from %1$s as t where t.%2$I is null)
      select %3$L::text, %2$L::text, (select count(*) from empty), (
        select string_agg(f.key, ', ' order by f.place)
        from (
          select coalesce(m.key, e.id::text) as key,
            row_number() over (order by m.legacy_id, e.id) as place
          from empty as e left join (%4$s) as m on m.id = e.id
          order by m.legacy_id, e.id limit 10
        ) as f)
      where exists (select from empty)
    $q$, part.target, part.name, part.target::text, part.maps);
  end loop;
end
$$;

-- Columns of tables that entities fill that are NULL in every row: nothing in the source fills them.
-- Tables without a row, and columns with a value in any row, are left out.
create or replace function migration.empty_columns()
returns table (table_name text, column_names text[], row_count bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  part record;
begin
  for part in
    select to_regclass(e.target) as target from migration.entities as e
    where e.position is not null and e.status <> 'new' and to_regclass(e.target) is not null
    group by 1 order by to_regclass(e.target)::text
  loop
    return query execute (
      select format($q$
        with counted as (select count(*) as rows, array[%2$s]::bigint[] as filled from %1$s as t)
        select %1$L::text, array_agg(n.name order by n.place), c.rows
        from counted as c
        cross join lateral unnest(%3$L::text[]) with ordinality as n (name, place)
        where c.rows > 0 and c.filled[n.place] = 0
        group by c.rows
      $q$, part.target, string_agg(format('count(t.%I)', a.attname), ', ' order by a.attnum),
        coalesce(array_agg(a.attname order by a.attnum), '{}'))
      from pg_attribute as a
      where a.attrelid = part.target and a.attnum > 0 and not a.attisdropped and not a.attnotnull);
  end loop;
end
$$;

-- Rows that were there before us and claim a source row that our rules reject: their adoption key, one
-- column, holds its key. They stay as a former migration has guessed them.
create or replace function migration.leftover_rejects(adopted text[])
returns table (table_name text, what text, row_count bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  part record;
begin
  for part in
    select e.entity, to_regclass(e.target) as target, a.attname as name
    from generate_subscripts(adopted, 1) as i
    join migration.entities as e on e.entity = adopted[i][1]
    join pg_attribute as a
      on a.attrelid = to_regclass(e.target) and a.attname = adopted[i][2] and not a.attisdropped
    order by i
  loop
    return query execute format($q$
      select %1$L::text, format('rejected: %%s (%%s)', r.reason, %2$L), count(*)
      from %1$s as t
      join migration.rejects as r
        on r.entity = %2$L and r.resolved_run is null and r.legacy_id = t.%3$I
      where %4$s
      group by r.reason order by r.reason
    $q$, part.target, part.entity, part.name, migration.not_mapped(part.target));
  end loop;
end
$$;

-- Rows of a former migration that hold a value in columns nothing in the source fills: those that were
-- recognised, and those that claim a legacy id. A column's default is no such value. `condition`, over the
-- row `t`, says which rows are meant.
create or replace function migration.leftover_values(
  target text, columns text[], condition text default 'true')
returns table (table_name text, what text, row_count bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  place  regclass := to_regclass(target);
  before text;
begin
  if place is null then return; end if;
  select concat_ws(' or ',
    string_agg(format('exists (select from ids.%I as m where m.id = t.id and m.adopted)',
      e.entity), ' or '),
    format('(%s and (%s))', migration.not_mapped(place), (
      select coalesce(string_agg(format('t.%I is not null', a.attname), ' or '), 'false')
      from pg_attribute as a
      where a.attrelid = place and a.attnum > 0 and not a.attisdropped
        and a.attname like 'legacy%')))
  into before
  from migration.entities as e
  where to_regclass(e.target) = place and to_regclass(format('ids.%I', e.entity)) is not null;
  return query execute (
    select format($q$
      select %1$L::text, c.name, c.rows
      from (
        select array[%2$s] as counts from %1$s as t where (%3$s) and (%4$s)
      ) as s
      cross join lateral unnest(%5$L::text[], s.counts) as c (name, rows)
      where c.rows > 0
    $q$, place,
      string_agg(format('count(*) filter (where t.%1$I is not null and t.%1$I is distinct from %2$s)',
        a.attname, coalesce(pg_get_expr(d.adbin, d.adrelid), 'null')), ', ' order by a.attnum),
      before, condition, array_agg(concat('without a source: ', a.attname) order by a.attnum))
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = place and a.attname = any (columns) and not a.attisdropped
    having count(*) > 0);
end
$$;

-- Rows of a table that has no source, or no source for such rows, and that are in no id map of it; where
-- the table says when they were made, those that are older than the first run.
create or replace function migration.leftover_rows(target text, condition text default 'true')
returns table (table_name text, what text, row_count bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  place regclass := to_regclass(target);
begin
  if place is null then return; end if;
  return query execute format($q$
    select %1$L::text, 'rows without a source', count(*)
    from %1$s as t where %2$s and (%3$s)%4$s having count(*) > 0
  $q$, place, migration.not_mapped(place), condition, (
    select ' and coalesce(t.created_at < (select min(r.started_at) from migration.runs as r), true)'
    from pg_attribute as a
    where a.attrelid = place and a.attname = 'created_at' and not a.attisdropped));
end
$$;

-- Queries of the application, [{name, text, index}], that would read all of a large table, as the role the
-- API takes and with row level security: the table, its rows, and the index that would help. Nothing is
-- executed.
create or replace function migration.slow_queries(
  queries jsonb, as_role text default 'authenticated', large bigint default 10000)
returns table (query text, table_name text, row_count bigint, fix text)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_nestloop = on set enable_mergejoin = on as $$
#variable_conflict use_column
declare
  was_role text := current_setting('role');
  was_open text := current_setting('row_security');
  part     record;
  plan     jsonb;
begin
  for part in
    select q.value ->> 'name' as name, q.value ->> 'text' as text, q.value ->> 'index' as index
    from jsonb_array_elements(queries) as q
  loop
    perform set_config('row_security', 'on', true);
    perform set_config('role', as_role, true);
    execute concat('explain (format json, verbose) ', part.text) into plan;
    perform set_config('role', was_role, true);
    perform set_config('row_security', was_open, true);
    return query
    select part.name, c.oid::regclass::text, c.reltuples::bigint,
      concat('create index concurrently on ', part.index)
    from jsonb_path_query(plan, 'strict $.** ? (exists (@."Node Type"))') as n (node)
    join pg_class as c on c.oid = to_regclass(
      format('%I.%I', n.node ->> 'Schema', n.node ->> 'Relation Name'))
    where n.node ->> 'Node Type' like '%Seq Scan' and c.reltuples > large;
  end loop;
end
$$;

-- Keeps what checks say of the whole, [{name, text, says}], after a run that has read a good part of its rows:
-- the sum of their row_count. One that cannot be run says nothing.
create or replace function migration.enter_findings(of_run bigint, checks jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off as $$
#variable_conflict use_variable
declare
  part record;
  rows bigint;
begin
  if (
    select coalesce(sum(c.rows_read) < 0.2 * sum(c.source), true)
    from migration.control as c where c.run = of_run and c.phase <> 'archive')
  then
    return;
  end if;
  for part in
    select c.value ->> 'name' as name, rtrim(c.value ->> 'text', e' ;\n') as text,
      c.value ->> 'says' as says
    from jsonb_array_elements(checks) as c
  loop
    begin
      execute format('select coalesce(sum(c.row_count), 0) from (%s) as c', part.text) into rows;
    exception when others then continue;
    end;
    insert into migration.check_results (run, name, severity, findings, says)
    values (of_run, part.name, 'warning', rows, part.says);
  end loop;
end
$$;
