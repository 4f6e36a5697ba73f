-- What `merge.<entity>_apply` does in rare cases, whatever the entity: rows that stand in each other's
-- way with their unique values, and columns that are new to a view. Dynamic SQL over the temporary
-- tables of the chunk.

-- Columns that an expression over a row is made of.
create or replace function migration.columns_in(expression pg_catalog.pg_node_tree) returns int2[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(distinct (m.found)[1]::int2), '{}')
  from regexp_matches(expression::text, ':varattno (\d+)', 'g') as m (found)
$$;

-- The same columns, with those that generated ones are made of in their place.
create or replace function migration.stored_under(target regclass, columns int2[]) returns int2[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(distinct c.attnum), '{}')
  from pg_attribute as a
  left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum and a.attgenerated <> ''
  cross join lateral unnest(case when d.oid is null then array[a.attnum]
    else migration.columns_in(d.adbin) end) as c (attnum)
  where a.attrelid = target and a.attnum = any (columns)
$$;

-- What keeps rows of a table apart, but for its primary key: unique indexes, also over expressions and
-- over a part of the rows, and exclusion constraints. keys: columns under what is compared; columns:
-- these, and those of the predicate; key_values: what is compared, over the columns of a row, and `given`
-- where; clash: over o and b, the key values of two rows.
create or replace function migration.unique_indexes(target regclass)
returns table (
  unique_index regclass, keys int2[], columns int2[], key_values text, given text, clash text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select x.indexrelid::regclass, u.keys, u.keys || migration.columns_in(x.indpred), k.key_values,
    coalesce(pg_get_expr(x.indpred, x.indrelid), 'true'), k.clash
  from pg_index as x
  left join pg_constraint as c on c.conindid = x.indexrelid and c.contype = 'x'
  cross join lateral (
    select array_remove((x.indkey::int2[])[0:x.indnkeyatts - 1], 0::int2)
      || migration.columns_in(x.indexprs)) as u (keys)
  cross join lateral (
    select
      string_agg(format('%s as k%s', pg_get_indexdef(x.indexrelid, n, true), n), ', ' order by n),
      string_agg(format('o.k%1$s operator(%2$I.%3$s) b.k%1$s', n, s.nspname, p.oprname), ' and '
        order by n)
    from generate_series(1, x.indnkeyatts) as n
    join pg_opclass as l on l.oid = x.indclass[n - 1]
    left join pg_amop as e on c.oid is null and e.amopfamily = l.opcfamily and e.amopstrategy = 3
      and e.amoplefttype = l.opcintype and e.amoprighttype = l.opcintype
    join pg_operator as p on p.oid = coalesce(c.conexclop[n], e.amopopr)
    join pg_namespace as s on s.oid = p.oprnamespace) as k (key_values, clash)
  where x.indrelid = target and (x.indisunique or c.oid is not null) and not x.indisprimary
$$;

-- How a row lets go of the value it has under a unique index: an assignment to one of these columns that
-- makes the value NULL, or one that nobody else has. NULL where all are needed as they are.
create or replace function migration.letting_go(unique_index regclass, columns int2[]) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select
    case
      when not a.attnotnull and not coalesce((to_jsonb(x) ->> 'indnullsnotdistinct')::boolean, false)
        then format('%I = null', a.attname)
      when a.atttypid = 'uuid'::regtype then format('%I = gen_random_uuid()', a.attname)
      else format('%I = left(md5(concat(t.id, clock_timestamp())), %s)', a.attname,
        case when a.atttypmod > 4 then a.atttypmod - 4 else 32 end)
    end
  from pg_index as x
  join pg_attribute as a on a.attrelid = x.indrelid and a.attnum = any (columns)
  join pg_type as y on y.oid = a.atttypid
  where x.indexrelid = unique_index and (
    not a.attnotnull
    or (a.atttypid in ('uuid'::regtype, 'text'::regtype, 'varchar'::regtype) or y.typname = 'citext')
      and not exists (
        select from pg_constraint as f
        where f.contype = 'f' and f.conrelid = x.indrelid and a.attnum = any (f.conkey)))
  order by a.attnotnull, a.attnum limit 1
$$;

-- Finds the rows that hold unique values which refused rows of the chunk need, and that may let go of them:
-- rows of this chunk that were refused likewise (they swap: `again`), and rows that are kept though their
-- source row is deleted or left out. Only where a row can let go, or can be deleted and inserted again.
create or replace function migration.find_blocking(name text, target regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  key record;
begin
  drop table if exists pg_temp.freed;
  create temporary table freed (
    id uuid, unique_index regclass, assignment text, entity text, again boolean not null,
    primary key (id, unique_index));
  for key in
    select u.*, migration.letting_go(u.unique_index, s.keys) as assignment,
      (select string_agg(format(', %s as %I', pg_get_expr(d.adbin, d.adrelid), a.attname), '')
       from pg_attribute as a
       join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
       where a.attrelid = target and a.attgenerated <> '' and a.attnum = any (u.columns)) as generated,
      exists (
        select from pg_constraint as c where c.contype = 'f' and c.confrelid = target
      ) as is_referred_to
    from migration.unique_indexes(target) as u
    cross join lateral (
      select migration.stored_under(target, u.keys), migration.stored_under(target, u.columns)
    ) as s (keys, columns)
    where not exists (
      select from pg_attribute as a
      where a.attrelid = target and a.attnum = any (s.columns) and not exists (
        select from pg_attribute as b
        where b.attrelid = 'pg_temp.staged'::regclass and b.attname = a.attname))
  loop
    execute format(
      'insert into pg_temp.freed (id, unique_index, assignment, entity, again)'
      ' select o.id, $1, $2, coalesce(min(g.entity), $3), bool_or(f.legacy_key is not null)'
      ' from ('
      '   select t.id, k.* from %1$s as t'
      '   cross join lateral (select %2$s from (select t.*) as r where %3$s) as k) as o'
      ' join ('
      '   select b.legacy_key, b.target_id, k.* from pg_temp.staged as b'
      '   cross join lateral ('
      '     select %2$s from (select s.*%4$s from (select b.*) as s) as r where %3$s) as k) as b'
      '   on %5$s and b.target_id <> o.id'
      ' join pg_temp.refused as r on r.legacy_key = b.legacy_key and r.code in (''23505'', ''23P01'')'
      ' left join pg_temp.present as p on p.target_id = o.id and p.overwrite'
      ' left join pg_temp.refused as f on f.legacy_key = p.legacy_key'
      ' left join migration.gone as g on g.id = o.id and g.reason <> ''rejected'''
      ' where f.legacy_key is not null and ($2 is not null or not $4)'
      '   or g.id is not null and $2 is not null'
      ' group by o.id', target, key.key_values, key.given, key.generated, key.clash)
    using key.unique_index, key.assignment, name, key.is_referred_to;
  end loop;
end
$$;

-- Deletes rows that cannot let go of a value, and inserts them again with all of their columns, those of
-- the view as the source has them now. Returns their number.
create or replace function migration.write_anew(target regclass) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  columns text;
  rows    bigint;
begin
  drop table if exists pg_temp.parked;
  execute format(
    'create temporary table parked as select t.* from %s as t'
    ' where t.id in (select f.id from pg_temp.freed as f where f.assignment is null)', target);
  columns := (
    select string_agg(format('%1$I = b.%1$I', a.attname), ', ')
    from pg_attribute as a
    join pg_attribute as s on s.attrelid = 'pg_temp.staged'::regclass and s.attname = a.attname
    where a.attrelid = 'pg_temp.parked'::regclass and a.attnum > 0);
  execute format(
    'update pg_temp.parked as t set %s from pg_temp.staged as b where b.target_id = t.id', columns);
  columns := (
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
    from pg_attribute as a
    where a.attrelid = target and a.attnum > 0 and not a.attisdropped and a.attgenerated = '');
  perform set_config('search_path', migration.application_path(), true);
  execute format('delete from %s as t using pg_temp.parked as p where p.id = t.id', target);
  execute format('insert into %s (%s) overriding system value select %s from pg_temp.parked',
    target, columns, columns);
  get diagnostics rows = row_count;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  delete from pg_temp.refused as f using pg_temp.staged as b, pg_temp.parked as p
  where b.legacy_key = f.legacy_key and p.id = b.target_id;
  return rows;
end
$$;

-- Rows that were refused because others hold their unique values: what holds them lets go, and then they
-- are written. All of it or nothing. Returns rows written and those that remain refused.
create or replace function migration.write_in_two_steps(
  name text, target regclass, keeps_edits boolean,
  out updated bigint, out inserted bigint, out remaining bigint)
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = auto as $$
#variable_conflict use_variable
declare
  released bigint;
  part     record;
begin
  updated := 0;
  inserted := 0;
  begin
    perform migration.find_blocking(name, target);
    if exists (select from pg_temp.freed) then
      execute format(
        'insert into migration.before_images (entity, legacy_id, id, reason, image, run)'
        ' select g.entity, g.legacy_id, g.id, ''released'', migration.image_of(t.*),'
        '   migration.current_run()'
        ' from migration.gone as g join %s as t on t.id = g.id'
        ' where g.id in (select f.id from pg_temp.freed as f where not f.again)', target);
      get diagnostics released = row_count;
      if released > 0 then
        perform migration.record_event(migration.current_run(),
          'rows that are gone gave up unique values', jsonb_build_object('entity', name, 'rows', released));
      end if;
      if exists (select from pg_temp.freed as f where f.assignment is null) then
        updated := migration.write_anew(target);
      end if;
      perform set_config('search_path', migration.application_path(), true);
      -- first: a row may let go of several values, and is ours when it lets go of the second
      insert into migration.writes (run) values (migration.current_run());
      for part in
        select f.entity, f.assignment, array_agg(f.id) as ids
        from pg_temp.freed as f where f.assignment is not null group by f.entity, f.assignment
      loop
        execute format('select merge.%I($1, $2)', part.entity || '_release')
        using part.ids, part.assignment;
      end loop;
      for part in
        select f.legacy_key from pg_temp.refused as f
        join pg_temp.staged as b on b.legacy_key = f.legacy_key where b.to_write order by 1
      loop
        execute format('select $1 + w.updated, $2 + w.inserted from merge.%I($3, $3, $4, false) as w',
          name || '_write') into updated, inserted
        using updated, inserted, part.legacy_key, keeps_edits;
      end loop;
      if exists (
        select from pg_temp.refused as f
        join pg_temp.staged as b on b.legacy_key = f.legacy_key
        join pg_temp.freed as r on r.id = b.target_id)
      then
        raise exception 'a row that has let go is refused for another reason' using errcode = 'MIG04';
      end if;
    end if;
  exception when sqlstate 'MIG04' or integrity_constraint_violation or data_exception then
    updated := 0;
    inserted := 0;
  end;
  remaining := (
    select count(*) from pg_temp.refused as f
    join pg_temp.staged as b on b.legacy_key = f.legacy_key where b.to_write);
end
$$;

-- Columns that the view has now and had not when the rows of this chunk were written ({"column":
-- "type"}): they arrive in rows that the application changed, too, and nothing else does. Without a mark
-- in migration.writes: such a row stays the application's.
create or replace function migration.write_new_columns(name text, target text, columns jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  fresh text[] := array(
    select k from jsonb_object_keys(columns) as k
    where not exists (
      select from pg_temp.chunk_ranges as c
      join migration.ranges as r on r.entity = name and r.range = c.range
      where r.columns is null or r.columns ? k));
  path  text := current_setting('search_path');
begin
  if fresh = '{}' then return; end if;
  begin
    execute format(
      'insert into migration.before_images (entity, legacy_id, id, reason, image, run)'
      ' select %L, p.legacy_key, p.target_id, ''changed'', migration.image_of(t.*), migration.current_run()'
      ' from pg_temp.present as p join %s as t on t.id = p.target_id'
      ' join pg_temp.staged as b on b.legacy_key = p.legacy_key'
      ' where p.touched and b.known_version = b.version', name, target);
    perform set_config('search_path', migration.application_path(), true);
    execute format(
      'update %s as t set %s from pg_temp.present as p'
      ' join pg_temp.staged as b on b.legacy_key = p.legacy_key'
      ' where t.id = p.target_id and p.touched and b.known_version = b.version', target,
      (select string_agg(format('%1$I = b.%1$I', c), ', ') from unnest(fresh) as c));
    set constraints all immediate;
  exception when data_exception or integrity_constraint_violation then
    -- the row stays as the application has it
    null;
  end;
  perform set_config('search_path', path, true);
end
$$;
