-- What a run has to do: the entities as their files define them, and for each the chunks that are read
-- and merged at once. The plan is in the tables work and chunks; nothing is read for it but sums.

-- Enters what the files define: an array of {entity, phase, position, target, source, whole,
-- id_maps, opaque_maps, reads, lookups, removes, tolerance, mapping, hash}. Entities that no file defines any
-- more keep their state and lose their position. An entity whose ranges have another width, or another
-- source, forgets them: it is compared whole. One with another type of ids takes the rows of the former back.
create or replace function migration.enter_entities(defined jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  known record;
begin
  update migration.entities as e set position = null
  where e.phase <> 'archive' and e.position is not null and not exists (
    select from jsonb_to_recordset(defined) as d (entity text) where d.entity = e.entity);
  for known in
    select d.*, case when d.source is null or d.whole then 0 else coalesce(t.width, 10000) end as width
    from jsonb_to_recordset(defined) as d (
      entity text, phase text, position integer, target text, source text, whole boolean,
      id_maps text[], opaque_maps text[], reads text[], lookups jsonb, removes boolean, tolerance numeric,
      mapping text, hash text)
    left join migration.source_tables as t on t.source_table = d.source
  loop
    -- room for a new version of a row on its page: the index by new id, which is at random, stays as it is
    execute format(
      'create table if not exists ids.%I ('
      '  legacy_id    bigint primary key,'
      '  id           uuid not null unique,'
      '  version      bigint,'
      '  row_hash     bigint,'
      '  written_hash bigint,'
      '  missing      text,'
      '  adopted      boolean not null default false,'
      '  run          bigint not null'
      ') with (fillfactor = 90);'
      'create index if not exists %I on ids.%I (legacy_id) where missing is not null',
      known.entity, known.entity || '_missing', known.entity);
    delete from migration.ranges as r using migration.entities as e
    where r.entity = known.entity and e.entity = known.entity
      and (e.width, e.source) is distinct from (known.width, known.source);
    if exists (
      select from migration.entities as e
      where e.entity = known.entity and e.mapped <> coalesce(known.mapping, ''))
    then
      perform migration.take_back_mappings(known.entity);
    end if;
    insert into migration.entities as e (entity, phase, position, target, source, width, id_maps,
      opaque_maps, reads, lookups, removes, tolerance, mapping, defined_hash)
    values (known.entity, known.phase, known.position, known.target, known.source, known.width,
      known.id_maps, coalesce(known.opaque_maps, '{}'), known.reads, known.lookups, known.removes, known.tolerance,
      known.mapping, known.hash)
    on conflict (entity) do update set phase = excluded.phase, position = excluded.position,
      target = excluded.target, source = excluded.source, width = excluded.width,
      id_maps = excluded.id_maps, opaque_maps = excluded.opaque_maps, reads = excluded.reads, lookups = excluded.lookups,
      removes = excluded.removes, tolerance = excluded.tolerance, mapping = excluded.mapping,
      defined_hash = excluded.defined_hash
    where (e.phase, e.position, e.target, e.source, e.width, e.id_maps, e.opaque_maps, e.reads,
        e.lookups, e.removes, e.tolerance, e.mapping, e.defined_hash)
      is distinct from (excluded.phase, excluded.position, excluded.target, excluded.source,
        excluded.width, excluded.id_maps, excluded.opaque_maps, excluded.reads, excluded.lookups,
        excluded.removes, excluded.tolerance, excluded.mapping, excluded.defined_hash);
  end loop;
  execute coalesce((
    select 'create or replace view migration.migration_mappings'
      ' (entity_type, legacy_id, new_id, migrated_at, migration_batch) as '
      || string_agg(format(
        'select %L, m.legacy_id, m.id, r.started_at, m.run::text'
        ' from ids.%I as m left join migration.runs as r on r.run = m.run',
        e.entity, e.entity), ' union all ' order by e.phase, e.position)
    from migration.entities as e where e.position is not null), 'select');
end
$$;

-- What the hashes of each entity are made of, {"entity": {"column": "type"}}.
create or replace function migration.enter_columns(hashed jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update migration.entities as e set columns = h.value
  from jsonb_each(hashed) as h
  where e.entity = h.key and e.columns is distinct from h.value
$$;

-- Where source tables are and how they are defined, as take_sums found it: part of every basis.
create or replace function migration.definitions(tables text[]) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(string_agg(
    concat_ws(' ', t.source_table, t.identity, t.definition), e'\n' order by t.source_table), '')
  from migration.source_tables as t where t.source_table = any (tables)
$$;

-- Plans one entity; `again`: only what the target refused. Equal basis = its file, the helper functions, the hash method, the look-ups and
-- id maps that cannot be followed, and place and definition of every source table it reads are the
-- same.
create or replace function migration.plan_entity(name text, again boolean default false)
returns void
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_variable
declare
  -- so many times the rows in ranges of which only changed keys are read: (key, version) is short
  keys_factor constant integer := 10;
  -- the first chunk ends with the range that reaches this: a person sees soon how fast it goes
  first_rows  constant bigint := 5000;
  -- entities below this are compared whole as soon as one range differs
  small       constant integer := 1000;
  full_run    boolean := not again and coalesce(migration.run_option('full'), 'false') = 'true';
  chunk_rows  bigint := migration.run_option('chunkRows');
  method      text := migration.run_option('hashMethod');
  known       migration.entities;
  now_seen    text;
  was_seen    text;
  whole_seen  text;
  new_basis   text;
  grown_maps  text[];
  read_again  boolean;
  forced      bigint[] := '{}';
  refused     bigint[];
  waiting     bigint[] := '{}';
  followed    bigint[] := '{}';
  state       record;
  at          migration.chunks;
  rows        bigint := 0;
begin
  select e.* into strict known from migration.entities as e where e.entity = name;
  select
    coalesce(string_agg(concat_ws(' ', n.source_table, n.columns::text,
      case when not n.followed then n.content_digest end), e'\n' order by n.source_table), ''),
    coalesce(md5(string_agg(n.content_digest, e'\n' order by n.source_table)
      filter (where n.followed)), ''),
    case when bool_and(l.reached is not null) filter (where n.followed)
      then md5(string_agg(l.reached, e'\n' order by n.source_table) filter (where n.followed)) end
  into whole_seen, now_seen, was_seen
  from migration.seen as n
  left join migration.lookups as l on (l.entity, l.source_table) = (n.entity, n.source_table)
  where n.entity = name;
  new_basis := md5(concat_ws(e'\n', known.defined_hash, migration.run_option('functionsHash'), method,
    whole_seen, migration.definitions(known.reads), (
      select string_agg(concat_ws(' ', m.entity, m.map_size), e'\n' order by m.entity)
      from migration.entities as m where m.entity = any (known.opaque_maps))));
  grown_maps := array(
    select m.entity from migration.entities as m
    where m.entity = any (known.id_maps) and m.entity <> name
      and m.map_size > coalesce((known.maps_seen ->> m.entity)::bigint, 0));
  read_again := not again and (cardinality(grown_maps) > 0
    or coalesce(migration.run_option('retry'), 'false') = 'true');
  if read_again then
    execute format(
      'select array(select distinct case when %1$s = 0 then 0 else m.legacy_id / greatest(%1$s, 1) end'
      ' from ids.%2$I as m where m.missing is not null and string_to_array(m.missing, '','') && $1'
      ' union select case when %1$s = 0 then 0 else r.legacy_id / greatest(%1$s, 1) end'
      ' from migration.rejects as r where r.entity = %2$L and r.resolved_run is null)',
      known.width, name) into forced using grown_maps;
  end if;
  refused := array(
    select distinct case when known.width = 0 then 0 else r.legacy_id / known.width end
    from migration.rejects as r
    where r.entity = name and r.resolved_run is null and r.kind = 'error');
  if known.width > 0 then
    followed := array(
      select distinct a.legacy_key / known.width from migration.affected as a
      where a.entity = name);
  end if;

  delete from migration.chunks as c where c.entity = name;
  at.chunk := 0;
  for state in
    select coalesce(s.range, l.range) as range, coalesce(s.row_count, 0)::bigint as row_count,
      coalesce(l.method::text <> method, false) or l.columns <> known.columns as rehash,
      case
        when l.range is null or l.basis <> new_basis or full_run then 'range'
        when l.columns <> known.columns then 'range'
        when l.seen not in (now_seen, coalesce(was_seen, now_seen)) then 'range'
        when l.seen <> now_seen and l.range = any (followed) then 'keys'
        when l.range = any (forced) or (l.row_count, l.sum_a, l.sum_b)
          <> (coalesce(s.row_count, 0), coalesce(s.sum_a, 0), coalesce(s.sum_b, 0)) then 'keys'
        when l.range = any (refused) then 'refused'
        else 'same'
      end as state
    from migration.live_sums(known.source, known.width) as s
    full join (
      select * from migration.ranges as r where r.entity = name
    ) as l on l.range = s.range
    order by 1
  loop
    rows := rows + state.row_count;
    if state.state = 'refused' then waiting := waiting || state.range; end if;
    if state.state in ('same', 'refused') then
      -- the next chunk begins behind it
      at.kind := null;
      continue;
    end if;
    if at.kind is distinct from state.state
      or at.chunk = 1 and at.kind = 'range' and at.row_count >= first_rows
      or at.row_count + state.row_count
        > chunk_rows * (case at.kind when 'keys' then keys_factor else 1 end)
    then
      at := row(name, at.chunk + 1, state.state, null, null, '{}', 0, false);
    end if;
    at.ranges := at.ranges || state.range;
    at.row_count := at.row_count + state.row_count;
    at.rehash := at.rehash or coalesce(state.rehash, false);
    insert into migration.chunks as c select at.*
    on conflict (entity, chunk) do update set ranges = excluded.ranges,
      row_count = excluded.row_count, rehash = excluded.rehash;
  end loop;

  -- what the target refused is read by every run, and at once: such rows may need one another
  if waiting <> '{}' then
    insert into migration.chunks (entity, chunk, kind, ranges, row_count, rehash)
    values (name, at.chunk + 1, 'keys', waiting, 0, false);
  end if;

  -- one chunk: where one range holds everything, and where keys are needed before rows
  if known.width = 0 or name = any (known.id_maps) then
    insert into migration.chunks (entity, chunk, kind, ranges, row_count, rehash)
    select name, 0, 'all', '{}', rows, bool_or(c.rehash)
    from migration.chunks as c where c.entity = name having count(*) > 0;
    delete from migration.chunks as c where c.entity = name and c.chunk > 0;
  elsif rows < small then
    update migration.chunks as c set kind = 'range' where c.entity = name and c.ranges <> waiting;
  end if;
  update migration.chunks as c set
    first_key = (select min(r) * known.width from unnest(c.ranges) as r),
    end_key   = (select (max(r) + 1) * known.width from unnest(c.ranges) as r)
  where c.entity = name and c.kind = 'range';

  insert into migration.work as w (entity, basis, seen, grown, again, source_rows)
  values (name, new_basis, now_seen, grown_maps, read_again, rows)
  on conflict (entity) do update set basis = excluded.basis, seen = excluded.seen,
    grown = excluded.grown, again = excluded.again, source_rows = excluded.source_rows;
end
$$;

-- Sums of a source table, by the ranges of an entity; one row of nothing for `source none`.
create or replace function migration.live_sums(source_table text, width bigint)
returns table (range bigint, row_count bigint, sum_a numeric, sum_b numeric)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select 0, 1, 0, 0 where source_table is null
  union all
  select 0, sum(s.row_count)::bigint, sum(s.sum_a), sum(s.sum_b) from migration.sums as s
  where s.source_table = live_sums.source_table and width = 0 having count(*) > 0
  union all
  select s.range, s.row_count, s.sum_a, s.sum_b from migration.sums as s
  where s.source_table = live_sums.source_table and width > 0
$$;

-- Plans every entity of the catalog. One row each: what is to be read, and whether it has to be
-- called at all (something to read, or an attempt that did not come to its end).
create or replace function migration.plan_entities()
returns table (entity text, phase text, source_rows bigint, chunks bigint, row_count bigint, open boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  name text;
begin
  delete from migration.chunks;
  delete from migration.work;
  for name in
    select e.entity from migration.entities as e
    where e.position is not null order by e.phase, e.position
  loop
    perform migration.plan_entity(name);
  end loop;
  return query
  select e.entity, e.phase, w.source_rows, count(c.chunk), coalesce(sum(c.row_count), 0)::bigint,
    count(c.chunk) > 0 or e.status <> 'complete'
      -- read by a run that did not come to its end
      or exists (select from migration.lookups as l where l.entity = e.entity and not l.settled)
      or w.seen <> '' and exists (
        select from migration.ranges as r where r.entity = e.entity and r.seen <> w.seen)
      or e.defined_hash is distinct from e.file_hash
  from migration.entities as e
  join migration.work as w on w.entity = e.entity
  left join migration.chunks as c on c.entity = e.entity
  group by e.entity, w.entity order by e.phase, e.position;
end
$$;

-- What the target tables are to the engine: columns, unique keys, triggers, who refers to them.
create or replace function migration.target_digest(targets text[]) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select md5(coalesce(string_agg(concat_ws(' ', n.name, c.oid, (
    select string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,
      a.atthasdef, a.attidentity, a.attgenerated, a.attcollation), ',' order by a.attnum)
    from pg_attribute as a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ), (
    select string_agg(concat_ws(' ', i.indexrelid, i.indkey, i.indisunique), ',' order by i.indexrelid)
    from pg_index as i where i.indrelid = c.oid
  ), (
    select string_agg(concat_ws(' ', t.oid, t.tgtype, t.tgenabled), ',' order by t.oid)
    from pg_trigger as t where t.tgrelid = c.oid and not t.tgisinternal
  ), (
    select string_agg(f.oid::text, ',' order by f.oid)
    from pg_constraint as f where f.contype = 'f' and c.oid in (f.conrelid, f.confrelid)
  )), e'\n' order by n.name), ''))
  from unnest(targets) as n (name)
  left join pg_class as c on c.oid = to_regclass(n.name)
$$;

-- What link, views and functions were built of: equal digest, nothing is to be built. The link is open.
create or replace function migration.prepared_digest(files text, tables text[], targets text[])
returns text
language sql set search_path = pg_catalog, pg_temp as $$
  select md5(concat_ws(e'\n', files, migration.target_digest(targets), (
    select string_agg(concat_ws(' ', d.source_table, d.definition, t.width), e'\n'
      order by d.source_table)
    from migration.source_definitions(tables) as d
    left join migration.source_tables as t on t.source_table = d.source_table)))
$$;

-- Opens the link of the last run towards where the source is now. False: it has to be built first,
-- with views and functions, because something they depend on has changed.
create or replace function migration.open_prepared(
  server jsonb, files text, tables text[], targets text[])
returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  if not exists (select from pg_foreign_server as f where f.srvname = 'legacy_source') then
    return false;
  end if;
  perform migration.take_link();
  perform migration.point_link(server);
  perform migration.open_link();
  perform migration.limit_waits();
  if (select i.prepared from migration.installed as i)
    = migration.prepared_digest(files, tables, targets)
  then
    return true;
  end if;
  perform migration.close_link();
  return false;
end
$$;

-- Creates views, {entity: text}; returns those that could not be created.
create or replace function migration.create_views(views jsonb) returns text[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  view   record;
  failed text[] := '{}';
begin
  for view in select v.key as entity, v.value as text from jsonb_each_text(views) as v loop
    begin
      execute view.text;
      if to_regclass(format('transform.%I', view.entity)) is null then
        failed := failed || view.entity;
      end if;
    exception when others then
      failed := failed || view.entity;
    end;
  end loop;
  return failed;
end
$$;

-- Of a view that shows several rows of each source row makes one of each part, and drops it. A row of no
-- part is in the first one, where its key stands twice. False: it has no such column of type text.
create or replace function migration.create_parts(view text, part_column text, parts text[])
returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  whole regclass := format('transform.%I', view);
begin
  if not exists (
    select from pg_attribute as a
    where a.attrelid = whole and a.attname = part_column and a.atttypid = 'text'::regtype)
  then
    return false;
  end if;
  for i in 1..cardinality(parts) loop
    -- its text, and not its name: what a view reads has to be seen
    execute format('create view transform.%I as select p.* from (%s) as p where p.%I = %L%s',
      concat(view, '_', parts[i]), rtrim(pg_get_viewdef(whole), ';'), part_column, parts[i],
      case when i = 1 then format(' or coalesce(p.%I <> all (%L::text[]), true)', part_column, parts) end);
  end loop;
  execute format('drop view %s', whole);
  return true;
end
$$;

-- Link, views and functions have been built: of this.
create or replace function migration.mark_prepared(files text, tables text[], targets text[])
returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update migration.installed set prepared = migration.prepared_digest(files, tables, targets)
$$;

-- Before the rendered functions are made, and after it.
create or replace function migration.empty_merge() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  drop schema merge cascade;
  create schema merge;
  revoke all on schema merge from public;
  comment on schema merge is 'the functions that merge each view into its table (runner)';
  -- a body that is looked at locks the tables in it, and the application may hold one of them: a wait
  -- belongs into the phase, which tries again
  perform set_config('check_function_bodies', 'off', true);
end
$$;

create or replace function migration.close_merge() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('check_function_bodies', 'on', true);
  revoke execute on all functions in schema merge from public;
end
$$;
