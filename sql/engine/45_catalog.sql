-- What the catalogs of both sides say: columns, keys and triggers that a run has to know, and what
-- speaks against running at all. None of these functions writes.

-- Whether a foreign key repeats another of its table: one that leads to a partitioned table has a copy
-- for each of its partitions, and a row satisfies but one of those.
create or replace function migration.is_copy(referring oid, parent_constraint oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from pg_constraint as o where o.oid = parent_constraint and o.conrelid = referring)
$$;

-- A type as it is printed; of a domain the type below it, so that rows may be held that it does not allow.
create or replace function migration.plain_type(type oid, modifier integer) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive below as (
    select type as type, modifier as modifier
    union all
    select t.typbasetype, t.typtypmod from below as b
    join pg_type as t on t.oid = b.type and t.typtype = 'd'
  )
  select format_type(b.type, b.modifier) from below as b
  join pg_type as t on t.oid = b.type and t.typtype <> 'd'
$$;

-- Columns of tables and views. `native`: the hash of the type tells every two values apart; numeric
-- and jsonb lose the sign, bigint and timestamps their halves, citext the case ...
create or replace function migration.columns_of(schemas text[])
returns table (
  schema text, relation text, name text, type text, native boolean, required boolean,
  has_default boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select
    n.nspname,
    c.relname,
    a.attname,
    migration.plain_type(a.atttypid, a.atttypmod),
    a.atttypid = any ('{boolean,int2,int4,date,uuid,text,varchar,bytea}'::regtype[])
      and coalesce(l.collisdeterministic, true),
    a.attnotnull or d.typnotnull,
    a.atthasdef or a.attidentity <> '' or a.attgenerated <> '' or d.typdefault is not null
  from pg_namespace as n
  join pg_class as c on c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v')
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_type as d on d.oid = a.atttypid
  left join pg_collation as l on l.oid = a.attcollation
  where n.nspname = any (schemas)
  order by n.nspname, c.relname, a.attnum
$$;

-- What a merge has to know of its target tables, `schema.table`: whether a trigger may change the
-- rows it writes, the columns of each unique index (comma separated), a table that refers to it, a
-- foreign key of its own that takes rows with the one they refer to, and its foreign keys of one column.
create or replace function migration.table_facts(targets text[])
returns table (
  name text, rewrites boolean, unique_keys text[], referenced_by text, cascades text,
  foreign_keys jsonb)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select
    n.name,
    exists (
      select from pg_trigger as t
      where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled <> 'D'
        -- for each row, at INSERT or UPDATE: one that comes AFTER may update the row once more
        and t.tgtype & 1 = 1 and t.tgtype & 20 <> 0),
    (select coalesce(array_agg(i.columns order by i.columns), '{}') from (
       select string_agg(a.attname, ',' order by a.attnum) as columns
       from pg_index as x
       -- columns that are only included are no part of the key
       join pg_attribute as a
         on a.attrelid = x.indrelid and a.attnum = any ((x.indkey::int2[])[0:x.indnkeyatts - 1])
       where x.indrelid = c.oid and x.indisunique and not x.indisprimary
         and x.indpred is null and x.indexprs is null
       group by x.indexrelid) as i),
    (select min(f.conrelid::regclass::text) from pg_constraint as f
     where f.contype = 'f' and f.confrelid = c.oid and f.conrelid <> c.oid),
    (select min(f.conname) from pg_constraint as f
     where f.contype = 'f' and f.confrelid = c.oid and f.conrelid = c.oid and f.confdeltype = 'c'),
    (select coalesce(jsonb_agg(jsonb_build_object('name', f.conname, 'column', a.attname,
        'table', concat(s.nspname, '.', p.relname)) order by f.conname), '[]')
     from pg_constraint as f
     join pg_attribute as a on a.attrelid = f.conrelid and a.attnum = f.conkey[1]
     join pg_class as p on p.oid = f.confrelid
     join pg_namespace as s on s.oid = p.relnamespace
     where f.contype = 'f' and f.conrelid = c.oid and cardinality(f.conkey) = 1
       and not migration.is_copy(f.conrelid, f.conparentid))
  from unnest(targets) as n (name)
  join pg_class as c on c.oid = to_regclass(n.name) and c.relkind in ('r', 'p')
$$;

-- Whether the columns that the files call the key of a source table, {table: [column]}, are a unique key of
-- it: without one the id map would mix rows up; whether that is one whole number; and its primary key, for
-- who has to be told. Tables that are not there are left out. The link is open.
create or replace function migration.source_keys(keys jsonb)
returns table (source_table text, has_key boolean, is_number boolean, primary_key text[])
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  return query
  with indexes as materialized (
    select d.* from extensions.dblink('versions', format($q$
      select c.relname::text, i.indisprimary, k.columns
      from pg_catalog.pg_index as i
      join pg_catalog.pg_class as c on c.oid = i.indrelid
      join pg_catalog.pg_namespace as s on s.oid = c.relnamespace and s.nspname = any (%L::text[])
      cross join lateral (
        select array_agg(a.attname::text order by a.attname::text) as columns,
          bool_and(a.attnotnull) as have_values
        from unnest(%s) as o (number)
        join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = o.number
      ) as k
      where i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
        -- rows without a value are not told apart; a materialized view does not say which columns have one
        and (k.have_values or c.relkind = 'm')
    $q$, migration.source_schemas(), migration.index_key())) as d (name text, is_primary boolean, columns text[])
  )
  select t.key, exists (
      select from indexes as i where i.name = t.key
        and i.columns = array(select k from jsonb_array_elements_text(t.value) as k order by 1)),
    (select l.is_number from migration.links as l where l.source_table = t.key),
    (select i.columns from indexes as i where i.name = t.key and i.is_primary)
  from jsonb_each(keys) as t
  where to_regclass(format('legacy.%I', t.key)) is not null;
end
$$;

-- The name of a source table that is the same but for capitals. The link is open.
create or replace function migration.source_spelling(name text) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  perform migration.connect_versions();
  return (
    select d.name from extensions.dblink('versions', format($q$
      select c.relname::text
      from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = any (%L::text[])
      where c.relkind in ('r', 'p', 'v', 'm', 'f') and lower(c.relname) = %L and c.relname <> %L
      order by 1 limit 1
    $q$, migration.source_schemas(), lower(name), name)) as d (name text));
end
$$;

-- Every column of the source, `table.column`, asked in the source itself: schema legacy has only the
-- tables that views mention. Partitions are their table. The link is open.
create or replace function migration.source_columns() returns setof text
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform migration.connect_versions();
  return query
  select d.name
  from extensions.dblink('versions', format($q$
    select concat(c.relname, '.', a.attname)
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = any (%L::text[])
    join pg_catalog.pg_attribute as a
      on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    -- views hold no data of their own: those that files read are asked for
    where (c.relkind in ('r', 'p', 'f') or c.relkind in ('v', 'm') and c.relname = any (%L::text[]))
      -- a column of the catalog from release 10 on
      and coalesce(to_jsonb(c) ->> 'relispartition', 'false') = 'false'
      -- a child without a column of its own is read with its parent
      and not exists (
        select 1 from pg_catalog.pg_inherits as i
        where i.inhrelid = c.oid and not exists (
          select 1 from pg_catalog.pg_attribute as o
          where o.attrelid = c.oid and o.attnum > 0 and not o.attisdropped and o.attinhcount = 0))
      and not exists (
        select 1 from pg_catalog.pg_depend as e
        where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
    order by c.relname, a.attnum
  $q$, migration.source_schemas(), array(select l.source_table from migration.links as l))) as d (name text);
end
$$;

-- Tables of the target, `schema.table`, without those of extensions. Partitions are their table.
create or replace function migration.target_tables(schemas text[]) returns setof text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select concat(n.nspname, '.', c.relname)
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace and n.nspname = any (schemas)
  where c.relkind in ('r', 'p') and not c.relispartition
    and not exists (
      select from pg_depend as e
      where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
  order by n.nspname, c.relname
$$;

-- The schemas that entities write to.
create or replace function migration.target_schemas() returns setof regnamespace
language sql stable set search_path = pg_catalog, pg_temp as $$
  select distinct c.relnamespace::regnamespace
  from migration.entities as e
  join pg_class as c on c.oid = to_regclass(e.target)
  where e.phase <> 'archive'
$$;

-- The source columns, `table.column`, that each view reads as pg_depend knows it; with the hash of
-- the file the entity was last complete with.
create or replace function migration.view_columns()
returns table (entity text, hash text, columns text[])
language sql stable set search_path = pg_catalog, pg_temp as $$
  select
    v.relname,
    e.file_hash,
    coalesce(array_agg(distinct concat(c.relname, '.', a.attname))
      filter (where a.attname is not null), '{}')
  from pg_class as v
  join migration.entities as e on e.entity = v.relname
  join pg_rewrite as r on r.ev_class = v.oid
  left join pg_depend as d
    on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
  left join pg_class as c on c.oid = d.refobjid and c.relnamespace = 'legacy'::regnamespace
  left join pg_attribute as a on a.attrelid = c.oid and a.attnum = d.refobjsubid
  where v.relnamespace = 'transform'::regnamespace and v.relkind = 'v'
  group by v.relname, e.file_hash
$$;

-- Keys per range of each entity.
create or replace function migration.entity_widths()
returns table (entity text, width bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.entity, e.width from migration.entities as e
$$;

-- The source as its reader sees it: version, role, tables that it may not read, may write, or sees
-- only in part; how both sides sort texts; how far their clocks are apart. The link is open.
create or replace function migration.source_facts(tables text[])
returns table (
  version integer, role text, superuser boolean, unreadable text[], writable text[], hidden text[],
  source_collation text, target_collation text, seconds_apart double precision)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  -- provider (named from release 15 on), collation, version of it
  collation_of constant text := $q$
    select concat_ws(' ',
      case to_jsonb(b) ->> 'datlocprovider'
        when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end,
      coalesce(to_jsonb(b) ->> 'datlocale', to_jsonb(b) ->> 'daticulocale', b.datcollate),
      to_jsonb(b) ->> 'datcollversion')
    from pg_catalog.pg_database as b where b.datname = current_database()$q$;
  here text;
begin
  perform migration.connect_versions();
  execute collation_of into here;
  return query
  select
    d.version, d.role, d.superuser, d.unreadable, d.writable, d.hidden, d.sorted_by, here,
    extract(epoch from clock_timestamp() - d.clock)::double precision
  from extensions.dblink('versions', format($q$
    with there as (
      select c.oid, c.relname::text as name, c.relrowsecurity as has_policies
      from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = any (%L::text[])
      where c.relname = any (%L::text[]))
    select
      current_setting('server_version_num')::integer, current_user::text,
      (select r.rolsuper from pg_catalog.pg_roles as r where r.rolname = current_user),
      array(select t.name from there as t where not has_table_privilege(t.oid, 'select')),
      array(select t.name from there as t
            where has_table_privilege(t.oid, 'insert, update, delete, truncate')),
      array(select t.name from there as t where t.has_policies and row_security_active(t.oid)),
      (%s),
      clock_timestamp()
  $q$, migration.source_schemas(), tables, collation_of)) as d (
    version integer, role text, superuser boolean, unreadable text[], writable text[],
    hidden text[], sorted_by text, clock timestamptz);
end
$$;
