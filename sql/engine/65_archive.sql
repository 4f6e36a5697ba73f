-- The archive: typed, verbatim copies of source tables, keyed by the source's own key. Rows that are
-- gone from the source go from the copy, too. A copy without a unique index on that key holds a table that has
-- none: equal rows as often as the source does. Rows are compared as text; some of the values are
-- secrets, so none of them is hashed, rejected, or shown by an error.

-- What decides about a copy but the versions of its rows: its file, the way rows are compared, place
-- and definition of the source table.
create or replace function migration.archive_basis(source text, hash text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select md5(concat_ws(e'\n', hash, migration.run_option('hashMethod'),
    migration.definitions(array[source])))
$$;

-- Archive tables, [{name, source, hash}], that have to be called: what decides about them has changed
-- since they were copied, or an attempt did not come to its end.
create or replace function migration.changed_archive(defined jsonb) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(d.name), '{}')
  from jsonb_to_recordset(defined) as d (name text, source text, hash text)
  where migration.run_option('full') = 'true' or to_regclass(d.name) is null
    or not exists (
      select from migration.entities as e
      join migration.ranges as r on r.entity = e.entity
      cross join lateral (
        select coalesce(sum(s.row_count), 0) as rows, coalesce(sum(s.sum_a), 0) as a,
          coalesce(sum(s.sum_b), 0) as b
        from migration.sums as s where s.source_table = d.source
      ) as s
      where e.entity = d.name and e.status = 'complete'
        and r.basis = migration.archive_basis(d.source, d.hash)
        and (r.row_count, r.sum_a, r.sum_b) = (s.rows, s.a, s.b))
$$;

-- The same as rows of a plan (migration.plan_entities), which are entered: a table is read whole, or not
-- at all.
create or replace function migration.plan_archive(defined jsonb)
returns table (entity text, phase text, source_rows bigint, chunks bigint, row_count bigint, open boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  changed text[] := migration.changed_archive(defined);
begin
  insert into migration.work (entity, basis, seen, grown, again, source_rows)
  select d.name, '', '', '{}', false, (
    select coalesce(sum(s.row_count), 0) from migration.sums as s where s.source_table = d.source)
  from jsonb_to_recordset(defined) as d (name text, source text);
  return query
  select w.entity, 'archive', w.source_rows, (w.entity = any (changed))::integer::bigint,
    case when w.entity = any (changed) then w.source_rows else 0 end, w.entity = any (changed)
  from migration.work as w
  join jsonb_to_recordset(defined) as d (name text) on d.name = w.entity
  order by 1;
end
$$;

-- Copies a table: creates it as its file says, brings it to what the source has, enters it. The file is
-- {name, source, hash, file, text, secret}; returns its counts. Leaves the link open.
create or replace function migration.copy_archive(file jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off as $$
#variable_conflict use_variable
declare
  name    text := file ->> 'name';
  secret  text := file ->> 'secret';
  source  text := format('legacy.%I', file ->> 'source');
  keys    text[] := migration.key_columns(file ->> 'source');
  columns text[];
  counts  jsonb;
begin
  perform migration.start_archive(name, file ->> 'source', file ->> 'hash');
  execute file ->> 'text';
  columns := migration.archive_columns(name);
  if secret is null then
    perform migration.refuse_lacking(file ->> 'file', source, columns);
    perform migration.refuse_narrow(file ->> 'file', source, name);
  else
    source := migration.open_secret(name, file ->> 'source', secret);
  end if;
  perform migration.await_link();
  counts := migration.refresh_archive(name, source, columns, keys);
  if secret is not null then
    perform migration.compare_secret(name, source, columns, keys);
    execute format('drop foreign table %s', source);
  end if;
  return migration.finish_archive(name, counts);
end
$$;

-- Its attempt is noted.
create or replace function migration.start_archive(name text, source text, hash text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into migration.entities as e (entity, phase, target, source, width, defined_hash)
  values (name, 'archive', name, start_archive.source, 0, hash)
  on conflict (entity) do update set source = excluded.source, defined_hash = excluded.defined_hash
  where (e.source, e.defined_hash) is distinct from (excluded.source, excluded.defined_hash);
  insert into migration.control (run, entity, phase, status, file_hash, started_at)
  values (migration.current_run(), name, 'archive', 'running', hash, clock_timestamp())
  on conflict (run, entity) do update set status = excluded.status, finished_at = null, error = null;
$$;

create or replace function migration.key_columns(source_table text) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select l.key_columns from migration.links as l where l.source_table = key_columns.source_table
$$;

-- s.id = a.id ...
create or replace function migration.same_key(one text, other text, columns text[]) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select string_agg(format('%1$I.%3$I = %2$I.%3$I', one, other, c), ' and ' order by c)
  from unnest(columns) as c
$$;

create or replace function migration.archive_columns(name text) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array_agg(a.attname::text order by a.attnum)
  from pg_attribute as a
  where a.attrelid = to_regclass(name) and a.attnum > 0 and not a.attisdropped
$$;

-- Whether the copy of a source table tells its rows apart by a key.
create or replace function migration.is_keyed(copy regclass, keys text[]) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from pg_index as i
    where i.indrelid = copy and i.indisunique and i.indpred is null and i.indexprs is null
      and array(select a.attname::text from pg_attribute as a
                where a.attrelid = copy and a.attnum = any (i.indkey) order by 1)
        = array(select k from unnest(keys) as k order by 1))
$$;

-- The rows of `from_table` in the types of the copy, with the columns that both it and `source` have, and
-- " copy": of equal rows the number of each, 1 where there is a key.
create or replace function migration.archive_rows(
  copy regclass, source regclass, keys text[], from_table regclass)
returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format('(select r.*, %s as " copy" from (select %s from %s as t) as r)',
    case when migration.is_keyed(copy, keys) then '1'
      else 'row_number() over (partition by (r.*)::text)' end,
    string_agg(format('t.%1$I::%2$s as %1$I', here.attname,
      format_type(here.atttypid, here.atttypmod)), ', ' order by here.attnum), from_table)
  from pg_attribute as here
  join pg_attribute as there on there.attname = here.attname
  where here.attrelid = copy and there.attrelid = source and here.attnum > 0 and there.attnum > 0
    and not here.attisdropped and not there.attisdropped
$$;

-- A copy that has fewer columns than its source is none.
create or replace function migration.refuse_lacking(file text, source text, columns text[])
returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  lacking text;
begin
  select string_agg(s.name, ', ' order by s.position) into lacking
  from unnest(migration.archive_columns(source)) with ordinality as s (name, position)
  where s.name <> all (columns);
  if lacking is not null then
    raise exception '%: the source table has %, the copy has not; add the columns to the file, take the archive down and run `up` again',
      file, lacking using errcode = 'MIG01';
  end if;
end
$$;

-- A copy that rounds or cuts is none: every value of the source's type has a place in the copy's.
create or replace function migration.refuse_narrow(file text, source text, name text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  narrow text;
begin
  select string_agg(
    format('%s is %s in the source, %s in the copy', s.attname,
      format_type(s.atttypid, s.atttypmod), format_type(c.atttypid, c.atttypmod)), '; '
    order by s.attnum)
  into narrow
  from pg_attribute as s
  join pg_attribute as c on c.attrelid = to_regclass(name) and c.attname = s.attname
  where s.attrelid = to_regclass(source) and s.attnum > 0 and not s.attisdropped
    and not case
      when c.atttypid in ('text'::regtype, 'varchar'::regtype) and c.atttypmod = -1 then true
      -- a whole number that has no place is an error
      when c.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
        and s.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) then true
      when c.atttypid <> s.atttypid then false
      when c.atttypid = 'varchar'::regtype then s.atttypmod between 0 and c.atttypmod
      else c.atttypmod in (-1, s.atttypmod)
    end;
  if narrow is not null then
    raise exception '%: %; make it the type of the source in the file, take the archive down and run `up` again',
      file, narrow using errcode = 'MIG01';
  end if;
end
$$;

-- A foreign table with the key and the one secret column; dropped before the transaction ends.
create or replace function migration.open_secret(name text, source text, secret text) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  opened text := format('legacy.%I', concat(split_part(name, '.', 2), '_secret'));
begin
  execute (
    select format('create foreign table %s (%s, %I text) server legacy_source'
      ' options (schema_name %L, table_name %L)', opened, migration.key_definitions(l.*), secret,
      l.source_schema, l.source_table)
    from migration.links as l where l.source_table = source);
  return opened;
end
$$;

-- Removes, updates and inserts what differs; counts what was done. The link is open.
create or replace function migration.refresh_archive(
  name text, source text, columns text[], keys text[])
returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  keyed         boolean := migration.is_keyed(name, keys);
  list          text;
  assigned      text;
  -- the rows of both sides, numbered where equal ones are, and what makes two of them one
  held          text;
  given         text;
  same          text;
  before        bigint;
  gone          bigint;
  inserted      bigint;
  updated       bigint;
  rows          bigint;
  copied        bigint;
  -- what refused a row
  code          text;
  in_column     text;
  in_constraint text;
begin
  select string_agg(format('%I', c.name), ', ' order by c.position),
    string_agg(format('%1$I = excluded.%1$I', c.name), ', ' order by c.position)
  into list, assigned
  from unnest(columns) with ordinality as c (name, position);

  execute format('select count(*) from %s', name) into before;
  held := format('(select row(%1$s)::text as text, a.ctid as place,'
    ' row_number() over (partition by row(%1$s)::text) as copy from %2$s as a)',
    migration.prefixed('a', columns), name);
  given := migration.archive_rows(name, source, keys, source);
  same := format('row(%s)::text = h.text and s." copy" = h.copy', migration.prefixed('s', columns));
  execute case
    when keyed then format('delete from %s as a where not exists (select from %s as s where %s)',
      name, source, migration.same_key('s', 'a', keys))
    else format('delete from %s as a using %s as h where a.ctid = h.place'
      ' and not exists (select from %s as s where %s)', name, held, given, same)
  end;
  get diagnostics gone = row_count;
  perform migration.cap_removals(name, gone, before);
  begin
    execute format($q$
      with written as (
        insert into %1$s as a (%3$s) select %3$s from %2$s as s %4$s
        returning a.xmax = 0 as new)
      select count(*) filter (where w.new), count(*) filter (where not w.new) from written as w
    $q$, name, case when keyed then source else given end, list, case
      when keyed then format('on conflict (%s) do update set %s where row(%s)::text <> row(%s)::text',
        (select string_agg(quote_ident(k), ', ') from unnest(keys) as k), assigned,
        migration.prefixed('a', columns), migration.prefixed('excluded', columns))
      else format('where not exists (select from %s as h where %s)', held, same) end)
    into inserted, updated;
  exception when data_exception or integrity_constraint_violation then
    get stacked diagnostics code = returned_sqlstate, in_column = column_name,
      in_constraint = constraint_name;
    perform migration.refuse_unsaid(code, name, in_column, in_constraint);
  end;

  execute format('select count(*) from %s', source) into rows;
  execute format('select count(*) from %s', name) into copied;
  if copied <> rows then
    raise exception '% does not balance: % source rows, % kept', name, rows, copied
      using errcode = 'MIG01';
  end if;
  return jsonb_build_object('source', rows, 'inserted', inserted, 'updated', updated, 'gone', gone);
end
$$;

-- The data checks cannot reach a secret: it is compared here.
create or replace function migration.compare_secret(
  name text, source text, columns text[], keys text[])
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  other bigint;
begin
  execute format($q$
    select count(*) from %s as s left join %s as a on %s
    where row(%s)::text is distinct from row(%s)::text
  $q$, migration.archive_rows(name, source, keys, source), name, migration.same_key('s', 'a', keys),
    migration.prefixed('a', columns), migration.prefixed('s', columns))
  into other;
  if other > 0 then
    raise exception '%: % rows are not stored as the source has them: a trigger or rule of the table changes them',
      name, other using errcode = 'MIG01';
  end if;
end
$$;

-- The table is copied: checkpoint and counts.
create or replace function migration.finish_archive(name text, counts jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  this_run bigint := migration.current_run();
  known    migration.entities;
  rows     bigint := counts ->> 'source';
  inserts  bigint := counts ->> 'inserted';
  updates  bigint := counts ->> 'updated';
begin
  select e.* into strict known from migration.entities as e where e.entity = name;
  insert into migration.ranges (entity, range, row_count, sum_a, sum_b, basis, source_rows,
    merged, rejected, filtered, run, method)
  select name, 0, coalesce(sum(s.row_count), 0), coalesce(sum(s.sum_a), 0),
    coalesce(sum(s.sum_b), 0), migration.archive_basis(known.source, known.defined_hash),
    rows, rows, 0, 0, this_run, migration.run_option('hashMethod')::integer
  from migration.sums as s where s.source_table = known.source
  on conflict (entity, range) do update set row_count = excluded.row_count,
    sum_a = excluded.sum_a, sum_b = excluded.sum_b, basis = excluded.basis,
    source_rows = excluded.source_rows, merged = excluded.merged, run = excluded.run,
    method = excluded.method;
  update migration.control as c set
    status = 'done', finished_at = clock_timestamp(), balanced = true, error = null,
    source = rows, inserted = inserts, updated = updates, unchanged = rows - inserts - updates,
    gone = (counts ->> 'gone')::bigint, rows_read = rows, rejected = 0, filtered = 0
  where c.run = this_run and c.entity = name;
  update migration.entities as e set
    status = 'complete', file_hash = known.defined_hash, completed_run = this_run, removed = 0
  where e.entity = name;
  return counts || jsonb_build_object('unchanged', rows - inserts - updates, 'kept', 0,
    'rejected', 0, 'filtered', 0, 'read', rows);
end
$$;

-- Drops copies and what the ledger knows of them; returns the number of rows that went.
create or replace function migration.drop_archive(names text[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  name  text;
  rows  bigint;
  total bigint := 0;
begin
  foreach name in array names loop
    if to_regclass(name) is not null then
      execute format('select count(*) from %s', name) into rows;
      total := total + rows;
      execute format('drop table %s', name);
    end if;
  end loop;
  delete from migration.ranges as r where r.entity = any (names);
  delete from migration.entities as e where e.entity = any (names);
  return total;
end
$$;
