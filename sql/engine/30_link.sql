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

-- Opens the link where this transaction has not done so yet; waits for it up to lock_timeout.
create or replace function migration.await_link() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform migration.take_link();
  if not migration.is_link_open() then perform migration.open_link(); end if;
end
$$;

create or replace function migration.close_link() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce('versions' = any (extensions.dblink_get_connections()), false) then
    perform extensions.dblink_disconnect('versions');
  end if;
  execute format('drop user mapping if exists for %s server legacy_source', migration.mapped_role());
  perform set_config('migration.opened', '', true);
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

-- Lets the link of the last run lead to where the source is now.
create or replace function migration.point_link(server jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  option record;
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
  end loop;
end
$$;

-- Makes the foreign tables of source tables. Of one alone an error says which it is.
create or replace function migration.import_tables(tables text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format(
    'import foreign schema %I limit to (%s) from server legacy_source into legacy'
    ' options (import_collate ''false'')',
    migration.source_schema(), (select string_agg(format('%I', t), ', ') from unnest(tables) as t));
exception when undefined_object or undefined_function or invalid_schema_name then
  if cardinality(tables) <> 1 then raise; end if;
  raise exception 'the source table % cannot be linked: %', tables[1], sqlerrm
    using errcode = sqlstate, hint = 'its columns have a type that the target lacks: create one of that'
      ' name there (a domain over text will do for an enum), or take the table out of the files';
end
$$;

-- Server, foreign tables and version tables, all made anew. `server` holds the libpq options
-- host, port, dbname, sslmode ...; `settings` what the sessions in the source run with; `secrets`
-- the columns that nothing may read, {table: [column]}.
create or replace function migration.build_link(
  server jsonb, settings text, tables text[], secrets jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  option  record;
  made    record;
  secret  record;
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

  begin
    perform migration.import_tables(tables);
  exception when undefined_object or undefined_function or invalid_schema_name then
    -- the server does not say of which table: one by one
    perform migration.import_tables(array[t]) from unnest(tables) as t;
  end;

  -- secrets are unreachable from here on; a name that leads nowhere may be meant for another column
  for secret in
    select format('legacy.%I', s.key) as foreign_table, s.key as source_table, c.name
    from jsonb_each(secrets) as s, jsonb_array_elements_text(s.value) as c (name)
    where to_regclass(format('legacy.%I', s.key)) is not null
  loop
    if not exists (
      select from pg_attribute as a
      where a.attrelid = secret.foreign_table::regclass and a.attname = secret.name)
    then
      raise exception 'the source has no column %.%, which is called a secret',
        secret.source_table, secret.name
        using errcode = 'undefined_column', hint = 'correct the name in sql/settings.json';
    end if;
    execute format('alter foreign table %s drop column %I', secret.foreign_table, secret.name);
  end loop;

  for made in
    select c.relname from pg_class as c where c.relnamespace = 'legacy'::regnamespace
  loop
    -- with a cast in the view a key range would not reach the source
    execute format('alter foreign table legacy.%I alter column id type bigint', made.relname);
    execute format(
      'create foreign table legacy_versions.%I ('
      '  id bigint not null, version bigint options (column_name ''xmin'')'
      ') server legacy_source options (schema_name %L, table_name %L)',
      made.relname, migration.source_schema(), made.relname);
  end loop;
end
$$;

-- Tables that were asked for and are not in the link: the source has none, or the reader may not see it.
create or replace function migration.missing_tables(tables text[]) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(t order by t), '{}') from unnest(tables) as t
  where to_regclass(concat('legacy.', quote_ident(t))) is null
$$;
