-- The link: how the target reaches the source. It holds no secret while no transaction reads.

-- Two transactions may read through the link at a time: one by the user mapping of the role, the other
-- (setting migration.reader: second) by that of PUBLIC. Neither mapping is ever seen by anybody else.
create or replace function migration.is_second_reader() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(current_setting('migration.reader', true), '') = 'second'
$$;

-- Whose user mapping this transaction comes through: as SQL writes it.
create or replace function migration.mapped_role() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when migration.is_second_reader() then 'public' else 'current_user' end
$$;

-- Takes the lock of the link for this transaction; of several first readers, one at a time. Waits up to
-- lock_timeout. (The first number is that of the locks of the runner: questions/runner_lock.sql.)
create or replace function migration.take_link() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_xact_lock(20250401, case when migration.is_second_reader() then 3 else 2 end);
exception when lock_not_available then
  raise exception 'the link is in use by another session'
    using errcode = 'MIG03', hint = 'wait for the other runner to finish';
end
$$;

-- Creates the user mapping inside the transaction of the caller, from the temporary table that
-- the runner filled by COPY (a bind value or a literal would reach the log). Whoever is ready to wait
-- takes the link first: here the time limit stays below deadlock_timeout, after which a wait is logged,
-- and every error is raised again without its context. Both would otherwise write the statement with
-- the password into the log.
create or replace function migration.open_link() returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
  login record;
begin
  perform migration.take_link();
  select s.user_name, s.secret into strict login from pg_temp.link_login as s;
  begin
    execute format(
      'create user mapping for %s server legacy_source options (user %L, password %L)',
      migration.mapped_role(), login.user_name, login.secret);
  exception
    when query_canceled then
      raise exception 'cancelled while opening the link' using errcode = 'query_canceled';
    when others then
      raise exception 'the link could not be opened (%)', sqlstate using errcode = sqlstate;
  end;
  perform set_config('migration.opened', migration.mapped_role(), true);
end
$$;

-- Whether the user mapping of a role is the one that this transaction has created.
create or replace function migration.is_own_login(role name) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(role = case current_setting('migration.opened', true)
    when 'current_user' then current_user::name when 'public' then 'public' end, false)
$$;

create or replace function migration.is_link_open() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from pg_user_mappings as m
    where m.srvname = 'legacy_source' and m.usename = replace(migration.mapped_role(), 'current_user', current_user))
$$;

-- Opens the link where this transaction has not done so yet; waits for it up to lock_timeout, a second
-- reader a second, since the first can do its work.
create or replace function migration.await_link() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  patience text := current_setting('lock_timeout');
begin
  if migration.is_second_reader() then perform set_config('lock_timeout', '1s', true); end if;
  perform migration.take_link();
  perform set_config('lock_timeout', patience, true);
  if not migration.is_link_open() then perform migration.open_link(); end if;
end
$$;

create or replace function migration.close_link() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform migration.disconnect_versions();
  execute format('drop user mapping if exists for %s server legacy_source', migration.mapped_role());
  perform set_config('migration.opened', '', true);
end
$$;

-- The dblink connection of the session. It cannot be interrupted everywhere before the source answers, so
-- callers ask for seconds of work at a time.
create or replace function migration.connect_versions() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if not coalesce('versions' = any (extensions.dblink_get_connections()), false) then
    perform extensions.dblink_connect('versions', 'legacy_source');
  end if;
end
$$;

-- Ends it.
create or replace function migration.disconnect_versions() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce('versions' = any (extensions.dblink_get_connections()), false) then
    perform extensions.dblink_disconnect('versions');
  end if;
end
$$;

-- Number of the source server's version, e.g. 100023.
create or replace function migration.source_version() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform migration.connect_versions();
  return (
    select d.version
    from extensions.dblink('versions', $q$select current_setting('server_version_num')::integer$q$)
      as d (version integer)
  );
end
$$;

-- What the sessions in the source run with, as the link says it.
create or replace function migration.link_settings() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select o.option_value
  from pg_foreign_server as f
  cross join lateral pg_options_to_table(f.srvoptions) as o
  where f.srvname = 'legacy_source' and o.option_name = 'options'
$$;

-- Adds to the settings of the link what its source knows. A setting it does not know refuses the
-- connection: 9.5 lacks the idle limit, and before 12 the source cannot limit how long it waits for an
-- answer that was not received. The link is open.
create or replace function migration.limit_waits() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  version integer;
begin
  if migration.link_settings() like '%idle_in_transaction_session_timeout%' then return; end if;
  version := migration.source_version();
  if version < 90600 then return; end if;
  perform migration.disconnect_versions();
  execute format('alter server legacy_source options (set options %L)', concat(
    migration.link_settings(),
    case when version >= 120000 then ' -c tcp_user_timeout=30000' end,
    ' -c idle_in_transaction_session_timeout=0'));
end
$$;

-- Lets the link of the last run lead to where the source is now: that may be an older release, so what not
-- every source knows is taken out of the settings (limit_waits adds it).
create or replace function migration.point_link(server jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  option record;
  moved  boolean := false;
begin
  for option in
    select o.key, o.value,
      (select true from pg_foreign_server as f
       where f.srvname = 'legacy_source' and f.srvoptions @> array[format('%s=%s', o.key, o.value)])
        as is_set,
      (select true from pg_foreign_server as f, unnest(f.srvoptions) as h
       where f.srvname = 'legacy_source' and split_part(h, '=', 1) = o.key) as is_there
    from jsonb_each_text(server) as o
  loop
    continue when option.is_set;
    execute format('alter server legacy_source options (%s %I %L)',
      case when option.is_there then 'set' else 'add' end, option.key, option.value);
    moved := true;
  end loop;
  if not moved then return; end if;
  execute format('alter server legacy_source options (set options %L)', regexp_replace(
    migration.link_settings(),
    ' -c (tcp_user_timeout|idle_in_transaction_session_timeout)=\d+', '', 'g'));
end
$$;

-- The numbers of the columns that are the key of an index `i`, in a statement for the source: before release
-- 11 no index had columns that are no part of its key.
create or replace function migration.index_key() returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select $q$(i.indkey::int2[])[0:coalesce((to_jsonb(i) ->> 'indnkeyatts')::integer, i.indnatts) - 1]$q$
$$;

-- The columns of source tables, as the source has them, each with a type that the target knows: a domain is
-- what stands below it, an enum one of that name in schema legacy (its labels are given), and what the
-- target has no type for is text. Keys are given by the files, {table: [column]}; otherwise it is the column
-- `id` where that is a whole number, or the primary key.
create or replace function migration.source_shapes(tables text[], keys jsonb)
returns table (
  source_schema text, source_table text, kind "char", key_columns text[], column_name text,
  type text, labels text[], required boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  perform migration.connect_versions();
  return query
  with columns as materialized (
    select d.* from extensions.dblink('versions', format($q$
      select n.nspname::text, c.relname::text, c.relkind, p.columns, a.attname::text, a.attnum,
        b.schema, b.name, b.kind, b.printed, b.dimensions, b.labels, a.attnotnull
      from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = any (%L::text[])
      join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      cross join lateral (
        with recursive below as (
          select a.atttypid as type, a.atttypmod as modifier
          union all
          select t.typbasetype, t.typtypmod from below as o
          join pg_catalog.pg_type as t on t.oid = o.type and t.typtype = 'd'
        )
        select s.nspname::text as schema, e.typname::text as name, e.typtype as kind,
          format_type(o.type, o.modifier) as printed,
          case when e.oid = t.oid then '' else '[]' end as dimensions,
          array(select l.enumlabel::text from pg_catalog.pg_enum as l
                where l.enumtypid = e.oid order by l.enumsortorder) as labels
        from below as o
        join pg_catalog.pg_type as t on t.oid = o.type and t.typtype <> 'd'
        -- of an array what is in it
        join pg_catalog.pg_type as e
          on e.oid = case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end
        join pg_catalog.pg_namespace as s on s.oid = e.typnamespace
      ) as b
      left join lateral (
        select array(
          select k.attname::text
          from unnest(%s) with ordinality as o (number, position)
          join pg_catalog.pg_attribute as k on k.attrelid = c.oid and k.attnum = o.number
          order by o.position) as columns
        from pg_catalog.pg_index as i where i.indrelid = c.oid and i.indisprimary
      ) as p on true
      where c.relname = any (%L::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f')
    $q$, migration.source_schemas(), migration.index_key(), tables)) as d (
      schema text, name text, relation_kind "char", primary_key text[], column_name text, position smallint,
      type_schema text, type_name text, type_kind "char", printed text, dimensions text, labels text[],
      required boolean)
  ),
  keyed as (
    select c.schema, c.name, coalesce(
      -- of columns that are not there another finding tells
      (select array_agg(k.value order by k.position)
       from jsonb_array_elements_text(keys -> c.name) with ordinality as k (value, position)
       having bool_and(exists (
         select from columns as o
         where (o.schema, o.name, o.column_name) = (c.schema, c.name, k.value)))),
      max(case when c.column_name = 'id' and c.printed in ('smallint', 'integer', 'bigint')
        then '{id}' end)::text[],
      (select o.primary_key from columns as o where o.schema = c.schema and o.name = c.name limit 1),
      array_agg(c.column_name order by c.position)) as columns
    from columns as c group by c.schema, c.name
  )
  select c.schema, c.name, c.relation_kind, k.columns, c.column_name,
    case
      when c.type_kind = 'e' then format('legacy.%I%s', c.type_name, c.dimensions)
      when c.type_schema = 'pg_catalog' and to_regtype(c.type_name) is not null
        or c.type_kind <> 'c' and to_regtype(format('%I.%I', c.type_schema, c.type_name)) is not null
        then c.printed
      else 'text'
    end,
    case when c.type_kind = 'e' then c.labels end,
    c.required
  from columns as c
  join keyed as k on k.schema = c.schema and k.name = c.name
  order by c.schema, c.name, c.position;
end
$$;

-- Makes the foreign tables of source tables and the types they need, in schema legacy, without the
-- columns that are secrets; enters them in migration.links. A whole number that is a key is bigint: with a
-- cast in the view a key range would not reach the source.
create or replace function migration.link_tables(tables text[], keys jsonb, secrets jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  shape record;
begin
  drop table if exists pg_temp.shapes;
  create temporary table shapes as
  select s.*, coalesce(secrets -> s.source_table ? s.column_name, false) as is_secret,
    cardinality(s.key_columns) = 1 and s.column_name = s.key_columns[1]
      and s.type in ('smallint', 'integer', 'bigint') as is_number
  from migration.source_shapes(tables, keys) as s;
  perform migration.refuse_shapes(keys, secrets);

  for shape in
    select distinct on (s.type) s.type, replace(s.type, '[]', '') as name, s.labels
    from pg_temp.shapes as s where s.labels is not null
  loop
    if to_regtype(shape.name) is null then
      execute format('create type %s as enum (%s)', shape.name,
        (select string_agg(quote_literal(l), ', ' order by o)
         from unnest(shape.labels) with ordinality as n (l, o)));
    end if;
  end loop;
  for shape in
    select s.source_schema, s.source_table, string_agg(format('%I %s%s', s.column_name,
        case when s.is_number then 'bigint' else s.type end,
        case when s.required then ' not null' else '' end), ', ' order by s.position) as columns
    from (select s.*, row_number() over () as position from pg_temp.shapes as s) as s
    where not s.is_secret group by s.source_schema, s.source_table
  loop
    execute format(
      'create foreign table legacy.%I (%s) server legacy_source options (schema_name %L, table_name %L)',
      shape.source_table, shape.columns, shape.source_schema, shape.source_table);
  end loop;

  delete from migration.links;
  insert into migration.links (source_table, source_schema, key_columns, is_number, has_versions)
  select s.source_table, s.source_schema, array(
      select k.name from unnest(s.key_columns) with ordinality as k (name, position)
      where not coalesce(secrets -> s.source_table ? k.name, false) order by k.position),
    bool_or(s.is_number), s.kind in ('r', 'p', 'm')
  from pg_temp.shapes as s group by s.source_table, s.source_schema, s.key_columns, s.kind;
  perform migration.link_versions(l.*) from migration.links as l;
end
$$;

-- What cannot be linked, or is not as the files say.
create or replace function migration.refuse_shapes(keys jsonb, secrets jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  wrong record;
begin
  select s.source_table, string_agg(distinct s.source_schema, ', ') as schemas into wrong
  from pg_temp.shapes as s group by s.source_table having count(distinct s.source_schema) > 1 limit 1;
  if found then
    raise exception 'the source table % is in the schemas %', wrong.source_table, wrong.schemas
      using errcode = 'ambiguous_alias', hint = 'a name may be in one of the schemas of sourceSchema in'
        ' sql/settings.json only: name fewer of them there, or migrate the other table as a project of its own';
  end if;
  select replace(s.type, '[]', '') as name into wrong
  from pg_temp.shapes as s where s.labels is not null
  group by 1 having count(distinct s.labels) > 1 limit 1;
  if found then
    raise exception 'the source has two enums of the name %', replace(wrong.name, 'legacy.', '')
      using errcode = 'ambiguous_alias', hint = 'take one of their tables out of the files';
  end if;
  select s.source_table into wrong from pg_temp.shapes as s
  where format('legacy.%I', s.source_table) in (
    select replace(o.type, '[]', '') from pg_temp.shapes as o where o.labels is not null) limit 1;
  if found then
    raise exception 'the source has a table and an enum of the name %', wrong.source_table
      using errcode = 'ambiguous_alias', hint = 'both would be in schema legacy: read one of them through a view'
        ' of another name in the source';
  end if;
  for wrong in
    select t.key as source_table, c.name
    from jsonb_each(secrets) as t
    cross join jsonb_array_elements_text(t.value) as c (name)
    where exists (select from pg_temp.shapes as s where s.source_table = t.key)
      and not exists (
        select from pg_temp.shapes as s where (s.source_table, s.column_name) = (t.key, c.name))
  loop
    raise exception 'the source has no column %.%, which is called a secret', wrong.source_table, wrong.name
      using errcode = 'undefined_column', hint = 'correct the name in sql/settings.json';
  end loop;
  select s.source_table, s.column_name into wrong from pg_temp.shapes as s
  where keys -> s.source_table ? s.column_name and s.type in ('real', 'double precision') limit 1;
  if found then
    raise exception 'the key %.% is a floating-point number, which not every release prints alike',
      wrong.source_table, wrong.column_name
      using errcode = 'MIG01', hint = 'say another unique key with `-- key`, or archive the table';
  end if;
end
$$;

-- The columns of a key with their types, for a foreign table that has no more of a source table.
create or replace function migration.key_definitions(link migration.links) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', '
    order by a.attnum)
  from pg_attribute as a
  where a.attrelid = to_regclass(format('legacy.%I', link.source_table))
    and a.attname = any (link.key_columns)
$$;

-- The table of (id, version) of a source table, where its rows have a key and versions. A key that
-- is no whole number is not for the source to compare: its number is made here.
create or replace function migration.link_versions(link migration.links) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  rows text := format('legacy_versions.%I', concat(link.source_table, ' rows'));
begin
  if not link.has_versions then return; end if;
  if link.is_number then
    execute format(
      'create foreign table legacy_versions.%I ('
      '  id bigint options (column_name %L) not null, version bigint options (column_name ''xmin'')'
      ') server legacy_source options (schema_name %L, table_name %L)',
      link.source_table, link.key_columns[1], link.source_schema, link.source_table);
    return;
  end if;
  execute format(
    'create foreign table %s (%s, "row version" bigint options (column_name ''xmin''))'
    ' server legacy_source options (schema_name %L, table_name %L)', rows,
    migration.key_definitions(link), link.source_schema, link.source_table);
  execute format(
    'create view legacy_versions.%I as select %s as id, r."row version" as version from %s as r',
    link.source_table, migration.key_of(link.source_table, 'r'), rows);
end
$$;

-- a.id, a.name ...
create or replace function migration.prefixed(alias text, columns text[]) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select string_agg(format('%I.%I', alias, c.name), ', ' order by c.position)
  from unnest(columns) with ordinality as c (name, position)
$$;

-- The key of a row of a source table as a whole number, over an alias of it, in SQL that both sides understand.
create or replace function migration.key_of(source_table text, alias text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case
    when l.is_number then format('%I.%I', alias, l.key_columns[1])
    else migration.number_of(array(select format('%I.%I', alias, k) from unnest(l.key_columns) as k))
  end
  from migration.links as l where l.source_table = key_of.source_table
$$;

-- Server, foreign tables and version tables, all made anew. `server` holds the libpq options
-- host, port, dbname, sslmode ...; `settings` what the sessions in the source run with; `keys` and `secrets` the
-- columns that tell rows apart, and those that nothing may read, {table: [column]}.
create or replace function migration.build_link(
  server jsonb, settings text, tables text[], keys jsonb, secrets jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  option record;
  made   record;
begin
  perform migration.take_link();
  -- also views that read no foreign table, and those of files that are gone
  for made in
    select c.relname from pg_class as c
    where c.relnamespace = 'transform'::regnamespace and c.relkind = 'v'
  loop
    execute format('drop view if exists transform.%I cascade', made.relname);
  end loop;
  drop server if exists legacy_source cascade;
  for made in
    select t.oid::regtype as name from pg_type as t
    where t.typnamespace = 'legacy'::regnamespace and t.typtype = 'e'
  loop
    execute format('drop type %s cascade', made.name);
  end loop;
  create server legacy_source foreign data wrapper postgres_fdw options (
    fetch_size '10000', updatable 'false', truncatable 'false', keep_connections 'off',
    connect_timeout '5', tcp_user_timeout '15000',
    keepalives '1', keepalives_idle '10', keepalives_interval '5', keepalives_count '3'
  );
  for option in select o.key, o.value from jsonb_each_text(server) as o loop
    execute format('alter server legacy_source options (add %I %L)', option.key, option.value);
  end loop;
  execute format('alter server legacy_source options (add options %L)', settings);

  perform migration.open_link();
  perform migration.limit_waits();

  perform migration.link_tables(tables, keys, secrets);
end
$$;

-- Source tables whose key is one whole number, and the column that holds it.
create or replace function migration.number_keys()
returns table (source_table text, by text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select l.source_table, l.key_columns[1] from migration.links as l where l.is_number
$$;

-- Tables that were asked for and are not in the link: the source has none, or the reader may not see it.
create or replace function migration.missing_tables(tables text[]) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(t order by t), '{}') from unnest(tables) as t
  where to_regclass(concat('legacy.', quote_ident(t))) is null
$$;
