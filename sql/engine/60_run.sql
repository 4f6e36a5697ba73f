-- One run: its number, its lease, its entities and chunks, and what the ledger keeps of them.
-- Errors of class MIG are laws that do not hold: MIG01 a law of the data (balance, limits, caps),
-- MIG02 the lease of the run is another's, MIG03 the link is in use by another session.

-- Starts a run and takes the lease. Options: those of the command, and what the engine needs to know
-- (chunkRows, hashMethod, functionsHash, tolerance, errorTolerance).
create or replace function migration.start_run(command text, options jsonb) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  started  bigint;
  restored boolean := coalesce((select l.seal <> l.xmin::text from migration.lease as l), false);
begin
  update migration.runs as r set status = 'interrupted', finished_at = clock_timestamp()
  where r.status = 'running';
  insert into migration.runs as r (command, options, status, client)
  values (command, options, 'running', coalesce(host(inet_client_addr()), 'local'))
  returning r.run into started;
  insert into migration.lease as l (run) values (started)
  on conflict (one_row) do update set run = excluded.run;
  if restored then
    -- all rows have versions of their own: the marks prove nothing about them, their hashes do
    delete from migration.writes;
    update migration.lease as l set restored = pg_current_xact_id();
    perform migration.record_event(started, 'the target was restored', '{}');
  end if;
  update migration.lease as l set seal = l.xmin::text;
  perform migration.record_event(started, concat(command, ' started'), options);
  return started;
end
$$;

create or replace function migration.finish_run(run bigint, status text, error text default null)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  update migration.runs as r
  set status = finish_run.status, finished_at = clock_timestamp(), error = finish_run.error
  where r.run = finish_run.run;
  if status = 'done' then
    update migration.installed as i set way = r.options ->> 'way'
    from migration.runs as r
    where r.run = finish_run.run and i.way is distinct from r.options ->> 'way';
  end if;
  perform migration.record_event(run, concat('run ', status),
    jsonb_strip_nulls(jsonb_build_object('error', error)));
end
$$;

-- One line of the audit trail.
create or replace function migration.record_event(run bigint, what text, details jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into migration.events (run, what, details)
  values (record_event.run, record_event.what, record_event.details)
$$;

-- The same for schema changes, in their transaction: what is applied of a folder now.
create or replace function migration.record_schema_change(folder text, direction text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  applied jsonb;
begin
  execute format('select coalesce(jsonb_agg(m.name order by m.id), %L) from migration.%I as m',
    '[]', concat('schema_changes_', folder)) into applied;
  perform migration.record_event(null, concat('schema ', direction),
    jsonb_build_object('folder', folder, 'applied', applied));
end
$$;

-- First statement of every writing transaction.
create or replace function migration.hold_lease(run bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  perform from migration.lease as l where l.run = hold_lease.run for share;
  if not found then
    raise exception 'another runner has taken over; this one stopped before writing'
      using errcode = 'MIG02';
  end if;
end
$$;

-- Transactions since the target was restored; NULL where it was not.
create or replace function migration.restored_age() returns integer
language sql stable set search_path = pg_catalog, pg_temp as $$
  select age(l.restored::xid) from migration.lease as l
$$;

create or replace function migration.current_run() returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select l.run from migration.lease as l
$$;

-- An option of the run; of a dry look, which is no run, from the setting migration.options.
create or replace function migration.run_option(name text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(
    nullif(current_setting('migration.options', true), '')::jsonb,
    (select r.options from migration.lease as l join migration.runs as r on r.run = l.run)) ->> name
$$;

-- What the application's triggers expect: the search_path this session began with.
create or replace function migration.application_path() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select s.reset_val from pg_settings as s where s.name = 'search_path'
$$;

-- A row as an image keeps it: {column: its text}, null for NULL. Exact also where JSON is not: bounds of
-- arrays, the null of jsonb, types with a cast to json. The entry without a name, which no column can
-- have, tells it from images of older releases: those are row_to_json(t).
create or replace function migration.image_of(t pg_catalog.anyelement) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  image jsonb;
begin
  execute (
    select format('select jsonb_object(%L, array[''text'', %s])',
      array[''] || array_agg(a.attname::text order by a.attnum),
      string_agg(format('($1).%I::text', a.attname), ', ' order by a.attnum))
    from pg_type as y
    join pg_attribute as a on a.attrelid = y.typrelid and a.attnum > 0 and not a.attisdropped
    where y.oid = pg_typeof(t))
  into image using t;
  return image;
end
$$;

-- An entity begins: its attempt is noted, and before its first row is ever read what it sees of the id
-- maps. It is planned anew where a map has grown since the run was planned. Returns the number of
-- its chunks, [{"chunk", "rows"}], and the rows of its id map. `again`: the attempt goes on with what the
-- target refused for what other rows were.
create or replace function migration.start_entity(
  name text, again boolean default false, out chunks jsonb, out map_size bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  known migration.entities;
begin
  select e.* into strict known from migration.entities as e where e.entity = name;
  if not again then
    insert into migration.control (run, entity, phase, status, file_hash, started_at)
    values (migration.current_run(), name, known.phase, 'running', known.defined_hash,
      clock_timestamp())
    on conflict (run, entity) do update set status = excluded.status, finished_at = null,
      error = null, inserted = 0, updated = 0, kept = 0, gone = 0, rows_read = 0;
  end if;
  update migration.entities as e set maps_seen = migration.maps_now(known.id_maps)
  where e.entity = name and not exists (select from migration.ranges as r where r.entity = name);
  perform migration.plan_entity(name, again);
  select coalesce(jsonb_agg(jsonb_build_object('chunk', c.chunk, 'rows', c.row_count)
    order by c.chunk), '[]')
  into chunks
  from migration.chunks as c where c.entity = name;
  if chunks <> '[]' then perform migration.enter_lookups(name); end if;
  map_size := known.map_size;
  if chunks <> '[]' then perform migration.begin_mappings(name); end if;
  execute format(
    'update migration.work as w set had_rows = exists (select from %s),'
    ' by_set = $1 and migration.may_insert_as_replica(), started_at = clock_timestamp()'
    ' where w.entity = %L', known.target, name)
  using chunks <> '[]' and migration.against_sets(known.target::regclass, array(
    select jsonb_object_keys(known.columns))) is null;
  perform migration.index_ids(name, not migration.is_new(name));
end
$$;

-- Nothing of the entity is in the ledger yet, and nothing in its target that could be recognised.
create or replace function migration.is_new(name text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  any_ids boolean;
begin
  execute format('select exists (select from ids.%I)', name) into any_ids;
  return not any_ids and not (select w.had_rows from migration.work as w where w.entity = name);
end
$$;

-- The index of an id map by new id, which is random: entry by entry it takes ten times as long as made
-- at once. So it comes last where all entries are to come, and each has the id that follows from its key.
create or replace function migration.index_ids(name text, wanted boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  present boolean := exists (
    select from pg_index as i
    where i.indrelid = format('ids.%I', name)::regclass and i.indisunique and not i.indisprimary);
begin
  -- an index, not a constraint: whoever reads the id map meanwhile goes on
  if wanted and not present then execute format('create unique index on ids.%I (id)', name); end if;
  if present and not wanted then perform migration.drop_id_index(name); end if;
end
$$;

-- Not where somebody else looks at the id map, a backup for one: it stays then, and takes its time.
create or replace function migration.drop_id_index(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
  made record;
begin
  for made in
    select i.indexrelid::regclass as index, c.conname
    from pg_index as i
    left join pg_constraint as c on c.conindid = i.indexrelid and c.contype = 'u'
    where i.indrelid = format('ids.%I', name)::regclass and i.indisunique and not i.indisprimary
  loop
    if made.conname is null then execute format('drop index %s', made.index);
    else execute format('alter table ids.%I drop constraint %I', name, made.conname);
    end if;
  end loop;
exception when lock_not_available then
  null;
end
$$;

-- Entities of the phase of which this run's target refused rows for what other rows are (class 23): they
-- are tried once more when all of the phase is written.
create or replace function migration.refused_entities(of_phase text) returns table (refused text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.entity
  from migration.entities as e
  where e.phase = of_phase and e.position is not null and exists (
    select from migration.rejects as r
    where r.entity = e.entity and r.resolved_run is null and r.kind = 'error'
      and r.sqlstate like '23%' and r.last_run = migration.current_run())
  order by e.position
$$;

create or replace function migration.maps_now(names text[]) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_object_agg(m.entity, m.map_size), '{}')
  from migration.entities as m where m.entity = any (names)
$$;

-- Reads a chunk into the temporary tables of this session. The link is open.
create or replace function migration.read_chunk(name text, number integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  part migration.chunks;
  keys bigint[];
begin
  select c.* into strict part from migration.chunks as c
  where c.entity = name and c.chunk = number;
  if part.kind = 'keys' then
    execute format('select merge.%I($1)', name || '_wanted') into keys using part.ranges;
  end if;
  execute format('select merge.%I($1, $2, $3)', name || '_stage')
  using part.first_key, part.end_key, keys;
end
$$;

-- The same of the first chunk, if there is one.
create or replace function migration.read_first(name text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  select migration.read_chunk(name, min(c.chunk)) from migration.chunks as c
  where c.entity = name having count(*) > 0
$$;

-- Writes the chunk that this session has read.
create or replace function migration.write_chunk(name text, number integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  rehash boolean := (
    select c.rehash from migration.chunks as c where c.entity = name and c.chunk = number);
begin
  execute format('select merge.%I($1)', name || '_apply') using rehash;
end
$$;

-- Empties temporary tables. What is small is emptied row by row: a new table, or a new file for it, has
-- every plan of the session looked at again.
create or replace function migration.empty(variadic tables regclass[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  each regclass;
begin
  foreach each in array tables loop
    execute format(case when pg_relation_size(each) > 65536 then 'truncate %s' else 'delete from %s' end, each);
  end loop;
end
$$;

-- The temporary tables of a chunk: scope = what it is about; left_out = rows filtered on purpose;
-- present = target rows it will meet; refused = rows that could not be read or written; gone = mapped
-- keys without a row to store; wanted = keys to read, news = rows that are newer, of a chunk of keys;
-- chunk_ranges = the ranges that become checkpoints; held = what the ledger holds in them but for the keys
-- of a chunk of keys. Made once per session.
create or replace function migration.make_chunk_tables() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('pg_temp.scope') is not null then return; end if;
  create temporary table scope (first_key bigint, end_key bigint, keys bigint[]);
  create temporary table left_out (legacy_key bigint primary key, reason text, version bigint);
  create temporary table present (
    legacy_key bigint primary key, target_id uuid, differs boolean, touched boolean, ours boolean,
    overwrite boolean not null default false);
  create temporary table refused (
    legacy_key bigint primary key, code text, constraint_name text, column_name text);
  create temporary table gone (
    legacy_key bigint primary key, id uuid, reason text, kept boolean not null default true,
    touched boolean not null default false, save boolean not null default false);
  create temporary table wanted (legacy_key bigint primary key);
  create temporary table news (
    legacy_key bigint, version bigint, is_known boolean, known bigint);
  create temporary table chunk_ranges (
    range bigint primary key, source_rows bigint, expected bigint);
  create temporary table held (
    range bigint, merged bigint, rejected bigint, filtered bigint, a numeric, b numeric);
end
$$;

-- A chunk begins. Of a chunk of keys, chunk_ranges and `wanted` have been filled by merge.<entity>_wanted.
create or replace function migration.begin_chunk(first_key bigint, end_key bigint, keys bigint[])
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  perform migration.make_chunk_tables();
  perform migration.empty('pg_temp.scope', 'pg_temp.left_out', 'pg_temp.present', 'pg_temp.refused',
    'pg_temp.gone', 'pg_temp.held');
  if keys is null then perform migration.empty('pg_temp.chunk_ranges'); end if;
  insert into pg_temp.scope values (first_key, end_key, keys);
end
$$;

-- Intervals of ranges and keys that cover the ranges of the chunk; without limits where one range
-- holds everything.
create or replace function migration.chunk_intervals(width bigint)
returns table (first_range bigint, end_range bigint, first_key bigint, end_key bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  if width = 0 then
    return query select 0::bigint, 1::bigint, null::bigint, null::bigint;
    return;
  end if;
  return query
  select i.first_key / width, i.end_key / width, i.first_key, i.end_key
  from migration.intervals(array(select c.range from pg_temp.chunk_ranges as c), width) as i;
end
$$;

-- The cap on removals: 5 % of an entity, counted since it was last complete, so that ranges committed
-- by a run that was refused count, too.
create or replace function migration.cap_removals(name text, gone bigint, mapped bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  total bigint;
begin
  update migration.entities as e set removed = e.removed + gone, map_size = e.map_size + gone
  where e.entity = name
  returning e.removed into total;
  mapped := mapped + total - gone;
  if total > greatest(0.05 * mapped, 3) and coalesce(migration.run_option('removeMany'), '') <> 'true'
  then
    raise exception '%: % of % rows are gone from the source and would be removed (more than 5 %%); look at the source, and repeat with --yes if that is right',
      name, total, mapped using errcode = 'MIG01';
  end if;
end
$$;

-- The balance law of each range just read, counted where rows are kept, not where they were made.
create or replace function migration.balance_chunk(name text, width bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  bad record;
begin
  select r.range, r.source_rows, r.merged, r.rejected, r.filtered,
    case when width > 0 then format(' with keys from %s to %s', r.range * width,
      (r.range + 1) * width) end as keys
  into bad
  from migration.ranges as r join pg_temp.chunk_ranges as c on c.range = r.range
  where r.entity = name and r.source_rows <> r.merged + r.rejected + r.filtered
  order by 1 limit 1;
  if not found then return; end if;
  raise exception '% does not balance: % source rows%, but % merged + % rejected + % filtered; the view must show every row of its driving table exactly once',
    name, bad.source_rows, bad.keys, bad.merged, bad.rejected, bad.filtered using errcode = 'MIG01';
end
$$;

create or replace function migration.count_chunk(
  name text, updated bigint, inserted bigint, gone bigint, rows_read bigint, kept bigint,
  entered bigint)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  update migration.control as c set
    updated = c.updated + count_chunk.updated, inserted = c.inserted + count_chunk.inserted,
    gone = c.gone + count_chunk.gone, rows_read = c.rows_read + count_chunk.rows_read,
    kept = c.kept + count_chunk.kept
  where c.run = migration.current_run() and c.entity = name;
  update migration.entities as e set map_size = e.map_size + entered, status = 'partial'
  where e.entity = name and (entered > 0 or e.status <> 'partial');
end
$$;

-- An entity is written: its totals, limits and balance. `complete`: no data check of its phase is still to come. `again`: what the target
-- refused for what other rows are has been tried a second time, and counts.
create or replace function migration.end_entity(
  name text, complete boolean, again boolean default false, out counts jsonb, out map_size bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  this_run bigint := migration.current_run();
  known    migration.entities;
  work     migration.work;
  has_read boolean;
  total    record;
  result   migration.control;
begin
  select e.* into strict known from migration.entities as e where e.entity = name;
  select w.* into strict work from migration.work as w where w.entity = name;
  has_read := exists (select from migration.chunks as c where c.entity = name);
  perform migration.index_ids(name, true);
  perform migration.reach_lookups(name, work.seen, not has_read);
  if has_read and (migration.run_option('full') = 'true'
    or known.file_hash is distinct from known.defined_hash)
  then
    perform migration.end_mappings(name);
  end if;

  select coalesce(sum(r.source_rows), 0)::bigint as source, coalesce(sum(r.merged), 0)::bigint as merged,
    coalesce(sum(r.rejected), 0)::bigint as rejected, coalesce(sum(r.filtered), 0)::bigint as filtered,
    (select count(*) from migration.rejects as j
     where j.entity = name and j.resolved_run is null and j.kind = 'error') as errors,
    (select count(*) from migration.rejects as j
     where j.entity = name and j.resolved_run is null and j.kind = 'error'
       and (j.sqlstate not like '23%' or j.last_run <> this_run)) as final
  into total
  from migration.ranges as r where r.entity = name;
  update migration.control as c set
    status = 'done', finished_at = clock_timestamp(), balanced = true, error = null,
    source = total.source, rejected = total.rejected, filtered = total.filtered,
    unchanged = total.merged - c.inserted - c.updated - c.kept
  where c.run = this_run and c.entity = name
  returning c.* into result;
  if result.unchanged < 0 or total.source <> total.merged + total.rejected + total.filtered then
    raise exception '% does not balance: % source rows, but % inserted + % updated + % unchanged + % kept + % rejected + % filtered; rows were lost or counted twice',
      name, result.source, result.inserted, result.updated, result.unchanged, result.kept,
      result.rejected, result.filtered using errcode = 'MIG01';
  end if;
  perform migration.check_limits(name, known.tolerance, total.source - total.filtered,
    total.rejected - total.errors, case when again then total.errors else total.final end);
  update migration.entities as e set
    status = case when complete then 'complete' else 'partial' end,
    removed = 0, file_hash = known.defined_hash,
    maps_seen = migration.maps_now(known.id_maps),
    horizon = (select r.horizon from migration.runs as r where r.run = this_run)
  where e.entity = name;
  counts := jsonb_build_object('source', result.source, 'inserted', result.inserted,
    'updated', result.updated, 'unchanged', result.unchanged, 'kept', result.kept,
    'rejected', result.rejected, 'filtered', result.filtered, 'gone', result.gone,
    'read', result.rows_read);
  map_size := known.map_size;
end
$$;

-- What is still to be read when entities have ended: whether what they looked up was the same all the
-- time, and the source rows of their rejects. The link is open.
create or replace function migration.settle_entities(names text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  name text;
begin
  perform migration.settle_lookups(array(
    select e.entity from migration.entities as e
    where e.entity = any (names) and e.source is not null and exists (
      select from migration.chunks as c where c.entity = e.entity)));
  for name in
    select e.entity from migration.entities as e
    where e.entity = any (names) and e.source is not null and exists (
      select from migration.rejects as r
      where r.entity = e.entity and r.resolved_run is null
        and (r.last_run = migration.current_run()
          -- older ones cannot be read
          or r.source_row is null and r.last_run > coalesce(e.completed_run, 0)))
  loop
    perform migration.tell(name);
    execute format('select merge.%I()', name || '_settle');
  end loop;
  update migration.entities as e set completed_run = migration.current_run()
  where e.entity = any (names);
end
$$;

-- Tells the runner, while its message runs, what is worked at and how far it is: an error says neither.
create or replace function migration.tell(entity text, done bigint default null, total bigint default null)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise notice '%', jsonb_build_object('entity', entity, 'done', done, 'total', total)
    using errcode = 'MIG00';
end
$$;

-- An entity from beginning to end in one transaction, in which the link is open: where its phase is one,
-- or little is to be read. `complete`: as for end_entity; NULL = if nothing had to be read. `again`: likewise.
create or replace function migration.merge_entity(
  name text, complete boolean, again boolean,
  out entity text, out counts jsonb, out has_grown boolean, out ms bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  began timestamptz := clock_timestamp();
  begun record;
  part  record;
  ended record;
  done  bigint := 0;
  total bigint;
begin
  entity := name;
  perform migration.tell(name);
  select s.* into begun from migration.start_entity(name, again) as s;
  total := (select coalesce(sum((c ->> 'rows')::bigint), 0) from jsonb_array_elements(begun.chunks) as c);
  perform migration.tell(name, done, total);
  for part in
    select c.chunk, c.rows from jsonb_to_recordset(begun.chunks) as c (chunk integer, rows bigint)
  loop
    perform migration.read_chunk(name, part.chunk);
    perform migration.write_chunk(name, part.chunk);
    done := done + part.rows;
    perform migration.tell(name, done, total);
  end loop;
  select e.* into ended
  from migration.end_entity(name, coalesce(complete, begun.chunks = '[]'), again) as e;
  counts := ended.counts;
  has_grown := ended.map_size > begun.map_size;
  ms := 1000 * extract(epoch from clock_timestamp() - began);
end
$$;

-- Rules may reject so much, the target and the link so much: over all rows that are not filtered. What
-- is above fails with its rows, which are rolled back: the first ten in the message, a hundred in the
-- detail (migration.refused_rows).
create or replace function migration.check_limits(
  name text, tolerance numeric, rows bigint, rules bigint, errors bigint)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  allowed bigint := greatest(floor(
    coalesce(tolerance, migration.run_option('tolerance')::numeric) * rows), 3);
  refused jsonb;
begin
  if rules > allowed then
    refused := migration.refused_rows(name, 'rule');
    raise exception '%: % of % rows are rejected by its rules, % are allowed; look at them with `runner rejects %`, correct its file, or say there that more is expected (`-- tolerance  5 %%`)%',
      name, rules, rows, allowed, name, migration.refused_lines(refused)
      using errcode = 'MIG01', detail = refused;
  end if;
  allowed := greatest(floor(0.001 * rows), 1);
  if errors > allowed then
    refused := migration.refused_rows(name, 'error');
    raise exception '%: % of % rows were refused by the target or unreadable, % are allowed; look at them with `runner rejects %`%',
      name, errors, rows, allowed, name, migration.refused_lines(refused)
      using errcode = 'MIG01', detail = refused;
  end if;
end
$$;

-- Entities of the run that did not have to be called: as they were, and as the source is now.
create or replace function migration.enter_idle() returns void
language sql set search_path = pg_catalog, pg_temp as $$
  with idle as (
    insert into migration.control (run, entity, phase, status, source, unchanged, rejected,
      filtered, balanced, file_hash, started_at, finished_at)
    select l.run, e.entity, e.phase, 'done', coalesce(sum(r.source_rows), 0),
      coalesce(sum(r.merged), 0), coalesce(sum(r.rejected), 0), coalesce(sum(r.filtered), 0), true,
      e.file_hash, clock_timestamp(), clock_timestamp()
    from migration.lease as l
    join migration.runs as o on o.run = l.run
    join migration.entities as e on o.options -> 'phases' ? e.phase
      and (e.position is not null or e.phase = 'archive')
    left join migration.ranges as r on r.entity = e.entity
    where e.status = 'complete'
    group by l.run, e.entity
    on conflict do nothing
    returning run, entity
  )
  update migration.entities as e set completed_run = i.run, horizon = r.horizon
  from idle as i join migration.runs as r on r.run = i.run
  where e.entity = i.entity
$$;

-- The failed attempt; what is blamed is open again.
create or replace function migration.fail_entities(names text[], started timestamptz, error text)
returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into migration.control (run, entity, phase, status, file_hash, started_at, finished_at, error)
  select migration.current_run(), e.entity, e.phase, 'failed', e.defined_hash, started,
    clock_timestamp(), fail_entities.error
  from migration.entities as e where e.entity = any (names)
  on conflict (run, entity) do update set
    status = excluded.status, finished_at = excluded.finished_at, error = excluded.error;
  update migration.entities as e set status = 'partial'
  where e.entity = any (names) and e.status <> 'new';
$$;

-- The data checks of a phase that commits chunk by chunk have passed.
create or replace function migration.complete_entities(names text[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update migration.entities as e set status = 'complete'
  where e.entity = any (names) and e.status <> 'complete'
$$;

-- Phases of which an attempt was interrupted or failed: their data checks have yet to pass.
create or replace function migration.unproven_phases() returns table (unproven text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select distinct e.phase from migration.entities as e where e.status = 'partial'
$$;

-- Rows of the phase that could not be read are among its rejects.
create or replace function migration.has_unreadable(of_phase text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from migration.rejects as r
    join migration.entities as e on e.entity = r.entity
    where e.phase = of_phase and r.resolved_run is null and r.sqlstate like '22%'
      and r.source_row is null)
$$;

-- The first hundred open rejects of a kind, as the ledger keeps them of an attempt that failed: no
-- values of rows.
create or replace function migration.refused_rows(name text, of_kind text) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('key', r.legacy_id,
    'reason', r.reason, 'sqlstate', r.sqlstate, 'constraint', r.constraint_name,
    'column', r.column_name)) order by r.legacy_id), '[]')
  from (
    select j.* from migration.rejects as j
    where j.entity = name and j.resolved_run is null and j.kind = of_kind
    order by j.legacy_id limit 100
  ) as r
$$;

-- The same for a message: ten lines at most, each behind a line break.
create or replace function migration.refused_lines(refused jsonb) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(string_agg(concat(e'\n  ', concat_ws('  ', r.value ->> 'key',
    coalesce(r.value ->> 'sqlstate', r.value ->> 'reason'),
    r.value ->> 'constraint', 'column ' || (r.value ->> 'column'))), '' order by r.place), '')
  from jsonb_array_elements(refused) with ordinality as r (value, place)
  where r.place <= 10
$$;

-- Keeps the refused rows of the attempt that failed, outside of the transaction they fell with.
create or replace function migration.keep_refused(names text[], refused jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update migration.control as c set refused = keep_refused.refused
  where c.run = migration.current_run() and c.entity = any (names)
$$;
