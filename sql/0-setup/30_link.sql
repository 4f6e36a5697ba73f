-- The link: how the target reaches the source. It holds no secret while no transaction reads.

-- Creates the user mapping inside the transaction of the caller, from the temporary table that
-- the runner filled by COPY (a bind value or a literal would reach the log). The lock is tried,
-- never waited for (the time limit stays below deadlock_timeout, after which a wait is logged), and
-- every error is raised again without its context: both would otherwise write the statement with
-- the password into the log.
create or replace function migration.open_link() returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
  login record;
begin
  if not pg_try_advisory_xact_lock(20250401, 2) then
    raise exception 'the link is in use by another session'
      using errcode = 'lock_not_available', hint = 'wait for the other runner to finish';
  end if;
  select s.user_name, s.secret into strict login from pg_temp.link_login as s;
  begin
    execute format(
      'create user mapping for current_user server legacy_source options (user %L, password %L)',
      login.user_name, login.secret);
  exception
    when query_canceled then
      raise exception 'cancelled while opening the link' using errcode = 'query_canceled';
    when others then
      raise exception 'the link could not be opened (%)', sqlstate using errcode = sqlstate;
  end;
end
$$;

create or replace function migration.close_link() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce('versions' = any (extensions.dblink_get_connections()), false) then
    perform extensions.dblink_disconnect('versions');
  end if;
  drop user mapping if exists for current_user server legacy_source;
end
$$;

-- One dblink connection per session; it cannot be interrupted before the source answers, so
-- callers ask for seconds of work at a time.
create or replace function migration.connect_versions() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if not coalesce('versions' = any (extensions.dblink_get_connections()), false) then
    perform extensions.dblink_connect('versions', 'legacy_source');
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

-- Which database of which history this is. Versions of two histories have nothing to do with each
-- other: a restored or promoted server gives the same numbers to other rows. Where the reader may
-- not ask, and in 9.5, the start of the server stands in: then every restart is another history.
create or replace function migration.source_identity() returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  version  integer := migration.source_version();
  history  text := $q$select concat_ws('/', pg_postmaster_start_time(), d.oid)$q$;
  allowed  boolean := false;
  identity text;
begin
  if version >= 90600 then
    select a.allowed into allowed
    from extensions.dblink('versions', $q$
      select has_function_privilege('pg_catalog.pg_control_system()', 'execute')
        and has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute')
        and has_function_privilege('pg_catalog.pg_control_recovery()', 'execute')
    $q$) as a (allowed boolean);
  end if;
  if allowed then
    -- after a promotion the control file has the new timeline only from the next checkpoint on
    history := format($q$
      select concat_ws('/', s.system_identifier, greatest(c.timeline_id, case
        when pg_is_in_recovery() then r.min_recovery_end_timeline
        else ('x' || left(%s, 8))::bit(32)::integer end), d.oid)
      from pg_control_system() as s, pg_control_checkpoint() as c, pg_control_recovery() as r,
        pg_database as d
      where d.datname = current_database()
    $q$, case when version >= 100000 then 'pg_walfile_name(pg_current_wal_lsn())'
      else 'pg_xlogfile_name(pg_current_xlog_location())' end);
  else
    history := history || ' from pg_database as d where d.datname = current_database()';
  end if;
  select i.identity into strict identity
  from extensions.dblink('versions', history) as i (identity text);
  return identity;
end
$$;

-- Keeps of every source table where it is and how it is defined: ALTER TABLE and ALTER TYPE change
-- what a row says and no version. Returns the tables of which that is not what was kept.
create or replace function migration.note_definitions(tables text[])
returns table (source_table text, moved boolean, redefined boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  here text := migration.source_identity();
begin
  return query
  with found as materialized (
    select d.source_table, d.definition
    from extensions.dblink('versions', $q$
      select c.relname::text, md5(concat_ws(' ', c.oid, c.relkind, (
        select string_agg(concat_ws(' ', a.attnum, a.attname,
          format_type(a.atttypid, a.atttypmod), to_jsonb(a) ->> 'attmissingval',
          case when to_jsonb(a) ->> 'attgenerated' <> '' then pg_get_expr(g.adbin, g.adrelid) end,
          (select string_agg(e.enumlabel, ',' order by e.enumsortorder)
           from pg_catalog.pg_enum as e
           join pg_catalog.pg_type as t on e.enumtypid in (t.oid, t.typelem, t.typbasetype)
           where t.oid = a.atttypid)), e'\n' order by a.attnum)
        from pg_catalog.pg_attribute as a
        left join pg_catalog.pg_attrdef as g on g.adrelid = a.attrelid and g.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)))
      from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = 'public'
      where c.relkind in ('r', 'p', 'v', 'm', 'f')
    $q$) as d (source_table text, definition text)
    where d.source_table = any (tables)
  ),
  written as (
    update migration.source_tables as t set identity = here, definition = f.definition
    from found as f, migration.source_tables as o
    where t.source_table = f.source_table and o.source_table = f.source_table
      and (t.identity, t.definition) is distinct from (here, f.definition)
    returning t.source_table, o.identity <> here as moved, o.definition <> f.definition as redefined
  )
  select w.source_table, w.moved, w.redefined from written as w where w.moved or w.redefined;
end
$$;

-- Smallest and largest id and the number of rows of a source table.
create or replace function migration.source_extent(source_table text)
returns table (first_key bigint, last_key bigint, row_count bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform migration.connect_versions();
  return query
  select d.first_key, d.last_key, d.row_count
  from extensions.dblink('versions', format(
    'select min(id)::bigint, max(id)::bigint, count(*) from public.%I', source_table))
    as d (first_key bigint, last_key bigint, row_count bigint);
end
$$;

-- Row versions of a source table: per key range the number of rows and two sums over
-- (id, xmin). Every insert and update gives a row a new xmin, so equal sums mean equal rows. The
-- id is hashed by itself first: hashint8 folds its halves by xor, and of (id << 32 | xmin) it sees
-- no more than id # xmin, which an update of many rows at once may leave as it was.
-- xmin is counted back from the latest transaction, which is cheaper than its text; transactions
-- older than all (1 and 2) have no age. Keys from first_key up to, not including, end_key; NULL = no
-- limit. At most about two million rows are asked for at a time, since dblink cannot be interrupted.
create or replace function migration.range_sums(
  source_table text, width bigint, first_key bigint default null, end_key bigint default null)
returns table (range bigint, row_count bigint, sum_a numeric, sum_b numeric)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  low  bigint := first_key;
  high bigint := end_key;
  step bigint;
begin
  perform migration.connect_versions();
  if low is null or high is null then
    select coalesce(low, d.smallest), coalesce(high, d.largest + 1) into low, high
    from extensions.dblink('versions', format(
      'select min(id)::bigint, max(id)::bigint from public.%I', source_table))
      as d (smallest bigint, largest bigint);
  end if;
  if low < 0 then
    raise exception 'the source table % has negative ids', source_table
      using hint = 'ranges count from 0: the table cannot be read range by range';
  end if;
  step := least(width, 1000000000) * 200;
  while low < high loop
    return query
    select d.range, d.row_count, d.sum_a, d.sum_b
    from extensions.dblink('versions', format(
      'select v / %1$s, count(*), sum(hashint8(hashint8(v)::bigint # x)),'
      ' sum(hashint8(hashint8(v # 1431655765)::bigint # x)) from ('
      ' select r.id::bigint as v, case when age(r.xmin) = 2147483647 then r.xmin::text::bigint'
      ' else (c.latest - age(r.xmin)) & 4294967295 end as x'
      ' from public.%2$I as r, (select age(''3''::xid)::bigint + 3 as latest offset 0) as c'
      ' where r.id >= %3$s and r.id < %4$s offset 0) as s group by 1',
      width, source_table, low, least(high, low + step)))
      as d (range bigint, row_count bigint, sum_a numeric, sum_b numeric);
    low := low + step;
  end loop;
end
$$;

-- Oldest transaction that is open in the source: what changes from now on is not older.
create or replace function migration.source_horizon() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform migration.connect_versions();
  return (
    select d.horizon
    from extensions.dblink('versions', 'select txid_snapshot_xmin(txid_current_snapshot())')
      as d (horizon bigint)
  );
end
$$;

-- Lists in migration.newer the rows of a source table whose version is not older than a
-- transaction of the source. Lists none where there are `most` of them or more: then listing ranges
-- is cheaper.
create or replace function migration.list_newer(
  source_table text, since bigint, first_key bigint, end_key bigint, most bigint)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  low  bigint := first_key;
  step bigint := 200 * (
    select least(t.width, 1000000000) from migration.source_tables as t
    where t.source_table = list_newer.source_table);
  part bigint;
begin
  perform migration.connect_versions();
  while low < end_key and most > 0 loop
    insert into migration.newer (source_table, id, version)
    select list_newer.source_table, d.id, d.version
    from extensions.dblink('versions', format(
      'select id::bigint, xmin::text::bigint from public.%I'
      ' where id >= %s and id < %s and age(xmin) <= age(''%s''::xid) limit %s',
      source_table, low, least(end_key, low + step), since & 4294967295, most))
      as d (id bigint, version bigint);
    get diagnostics part = row_count;
    most := most - part;
    low := low + step;
  end loop;
  if most <= 0 then
    delete from migration.newer as n where n.source_table = list_newer.source_table;
  end if;
end
$$;

-- Content of some columns of a source table, by ranges of a fiftieth of the table's width: number of
-- rows and two sums. Asked for in the same steps as row versions.
create or replace function migration.content_sums(source_table text, columns text[])
returns table (range bigint, row_count bigint, sum_a numeric, sum_b numeric)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  width bigint := migration.lookup_width(source_table);
  step  bigint := least(width, 20000000) * 10000;
  low   bigint;
  high  bigint;
begin
  perform migration.connect_versions();
  select d.smallest, d.largest into low, high
  from extensions.dblink('versions', format(
    'select min(id)::bigint, max(id)::bigint from public.%I', source_table))
    as d (smallest bigint, largest bigint);
  low := low / width * width;
  while low <= high loop
    return query
    select d.range, d.row_count, d.sum_a, d.sum_b
    from extensions.dblink('versions', format(
      'select v / %s, count(*), sum(hashtext(k)), sum(hashtext(k || ''#''))'
      ' from (select id::bigint as v, (row(%s))::text as k'
      ' from public.%I where id >= %s and id < %s offset 0) as s group by 1',
      width, (select string_agg(quote_ident(c), ', ' order by c) from unnest(columns) as c),
      source_table, low, low + step))
      as d (range bigint, row_count bigint, sum_a numeric, sum_b numeric);
    low := low + step;
  end loop;
end
$$;

-- Keys per range of content_sums.
create or replace function migration.lookup_width(source_table text) returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select greatest(1, t.width / 50) from migration.source_tables as t
  where t.source_table = lookup_width.source_table
$$;

-- Server, foreign tables and version tables, all made anew. `server` holds the libpq options
-- host, port, dbname, sslmode ...; `settings` what the sessions in the source run with.
create or replace function migration.build_link(server jsonb, settings text, tables text[])
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  option  record;
  made    record;
begin
  -- also views that read no foreign table, and those of files that are gone
  for made in
    select c.relname from pg_class as c
    where c.relnamespace = 'transform'::regnamespace and c.relkind = 'v'
  loop
    execute format('drop view if exists transform.%I cascade', made.relname);
  end loop;
  drop server if exists legacy_source cascade;
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
  -- a setting the source does not know refuses the connection: 9.5 lacks the idle limit, and
  -- before 12 the source cannot limit how long it waits for an answer that was not received
  if migration.source_version() >= 90600 then
    if migration.source_version() >= 120000 then
      settings := concat(settings, ' -c tcp_user_timeout=30000');
    end if;
    perform extensions.dblink_disconnect('versions');
    execute format('alter server legacy_source options (set options %L)',
      concat(settings, ' -c idle_in_transaction_session_timeout=0'));
  end if;

  execute format(
    'import foreign schema public limit to (%s) from server legacy_source into legacy'
    ' options (import_collate ''false'')',
    (select string_agg(format('%I', t), ', ') from unnest(tables) as t));

  -- secrets are unreachable from here on
  alter foreign table if exists legacy.auth_user drop column if exists password;
  alter foreign table if exists legacy.dispatch_globalsetting
    drop column if exists setting, drop column if exists application_id,
    drop column if exists location_id, drop column if exists access_token;

  for made in
    select c.relname from pg_class as c where c.relnamespace = 'legacy'::regnamespace
  loop
    -- with a cast in the view a key range would not reach the source
    execute format('alter foreign table legacy.%I alter column id type bigint', made.relname);
    execute format(
      'create foreign table legacy_versions.%I ('
      '  id bigint not null, version bigint options (column_name ''xmin'')'
      ') server legacy_source options (schema_name ''public'', table_name %L)',
      made.relname, made.relname);
  end loop;
end
$$;

revoke execute on all functions in schema migration from public;
