-- What a run would do, for the person who approves it: the plan is read as the run would read it, in a
-- transaction that is rolled back, and nothing is written but the id maps, which later entities look
-- into. No row of the application is locked.

-- Something to read, an attempt that did not come to its end, or an id map that has grown meanwhile.
create or replace function migration.has_work(name text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from migration.chunks as c where c.entity = name)
    or e.status <> 'complete'
    or e.defined_hash is distinct from e.file_hash
    or exists (
      select from migration.entities as m
      where m.entity = any (e.id_maps) and m.entity <> name
        and m.map_size > coalesce((e.maps_seen ->> m.entity)::bigint, 0))
  from migration.entities as e where e.entity = name
$$;

-- Rows that have to be read to know what the plan leads to. Of ranges with changed keys only those are
-- read: a tenth of the rows, as far as anybody knows before.
create or replace function migration.rows_to_read() returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(sum(case c.kind when 'keys' then c.row_count / 10 else c.row_count end), 0)::bigint
  from migration.chunks as c
$$;

-- What becomes of the rows of one entity: those that are new, recognised (there before us), changed, no
-- row to store any more (gone), and the rejects that come and go. Its new ids are entered, its planned chunks read. The link is open.
create or replace function migration.foresee(
  name text, out read bigint, out new bigint, out recognised bigint, out changed bigint,
  out gone bigint, out opened bigint, out closed bigint)
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off set enable_mergejoin = off as $$
#variable_conflict use_variable
declare
  known   migration.entities;
  part    record;
  counted record;
  entered bigint;
begin
  new := 0; read := 0; recognised := 0; changed := 0; gone := 0; opened := 0; closed := 0;
  perform migration.plan_entity(name);
  select e.* into strict known from migration.entities as e where e.entity = name;
  for part in
    select c.chunk, c.kind from migration.chunks as c where c.entity = name order by c.chunk
  loop
    perform migration.read_chunk(name, part.chunk);
    execute format('select merge.%I()', name || '_adopt');
    execute format($q$
      with scope as materialized (
        select m.legacy_id from ids.%1$I as m, pg_temp.scope as s
        where (s.first_key is null or m.legacy_id >= s.first_key)
          and (s.end_key is null or m.legacy_id < s.end_key)
          and (s.keys is null or m.legacy_id = any (s.keys))
      )
      select
        (select count(*) from pg_temp.staged) + (select count(*) from pg_temp.left_out) as read,
        count(*) filter (
          where b.reject is null and b.known_hash is null and not (b.adopting or b.adopted)) as new,
        count(*) filter (
          where b.reject is null and b.known_hash is null and (b.adopting or b.adopted)) as recognised,
        count(*) filter (where b.to_write and b.known_hash is not null) as changed,
        (select count(*) from scope as m
         left join pg_temp.staged as o on o.legacy_key = m.legacy_id
         where (o.legacy_key is null or o.reject is not null) and not exists (
           select from migration.gone as g
           where g.entity = %1$L and g.legacy_id = m.legacy_id)) as gone,
        count(*) filter (where b.reject is not null and not exists (
          select from migration.rejects as r
          where r.entity = %1$L and r.legacy_id = b.legacy_key and r.resolved_run is null)) as opened,
        (select count(*) from migration.rejects as r
         cross join pg_temp.scope as s
         left join pg_temp.staged as o on o.legacy_key = r.legacy_id
         where r.entity = %1$L and r.resolved_run is null
           and (s.first_key is null or r.legacy_id >= s.first_key)
           and (s.end_key is null or r.legacy_id < s.end_key)
           and (s.keys is null or r.legacy_id = any (s.keys))
           and (o.legacy_key is null or o.reject is null)) as closed
      from pg_temp.staged as b
    $q$, name) into counted;
    read := read + counted.read;
    new := new + counted.new;
    recognised := recognised + counted.recognised;
    changed := changed + counted.changed;
    gone := gone + counted.gone;
    opened := opened + counted.opened;
    closed := closed + counted.closed;
    execute format(
      'insert into ids.%I (legacy_id, id, adopted, run)'
      ' select b.legacy_key, b.target_id, b.adopting, 0 from pg_temp.staged as b'
      ' where b.reject is null and not b.known on conflict do nothing', name);
    entered := counted.new + counted.recognised;
    if known.removes and counted.gone > 0 then
      execute format(
        'delete from ids.%1$I as m using pg_temp.scope as s'
        ' where (s.first_key is null or m.legacy_id >= s.first_key)'
        '  and (s.end_key is null or m.legacy_id < s.end_key)'
        '  and (s.keys is null or m.legacy_id = any (s.keys))'
        '  and not exists (select from pg_temp.staged as b'
        '    where b.legacy_key = m.legacy_id and b.reject is null)', name);
      entered := entered + counted.gone;
    end if;
    update migration.entities as e set map_size = e.map_size + entered
    where e.entity = name and entered > 0;
  end loop;
end
$$;

-- Seconds per row of each entity in the runs before, and of all of them; NULL where none was measured.
create or replace function migration.paces() returns table (entity text, pace double precision)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select l.entity,
    sum(extract(epoch from l.finished_at - l.started_at))::double precision / sum(l.rows_read)
  from migration.control as l where l.status = 'done' and l.rows_read > 0
  group by grouping sets ((l.entity), ())
$$;

-- What the plan leads to, an entity a row, in the order of the phases. `exact`: it was read; otherwise
-- new, changed, gone and opened are at most so many, since only reading can tell. pace: seconds per row.
-- row_bytes: what a row of the target takes with its indexes; NULL where there are too few to tell.
create or replace function migration.forecast(exact boolean)
returns table (
  phase text, entity text, target text, file text, work boolean, rows bigint, read bigint,
  new bigint, recognised bigint, changed bigint, gone bigint, opened bigint, closed bigint,
  rejects_allowed bigint, rejects_after bigint, removals_allowed bigint, at_most boolean,
  pace double precision, measured boolean, row_bytes bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  known    migration.entities;
  overall  double precision := (select p.pace from migration.paces() as p where p.entity is null);
  found    record;
  mapped   bigint;
begin
  if exact then
    -- ids that are entered say of which run they are
    insert into migration.runs (run, command, status) overriding system value
    values (0, 'plan', 'running') on conflict do nothing;
    insert into migration.lease (run) values (0) on conflict do nothing;
  end if;
  for known in
    select e.* from migration.entities as e where e.position is not null order by e.phase, e.position
  loop
    phase := known.phase;
    entity := known.entity;
    target := known.target;
    file := case
      when known.file_hash is null then 'new'
      when known.file_hash = known.defined_hash then 'same'
      else 'changed'
    end;
    work := migration.has_work(known.entity);
    rows := (select w.source_rows from migration.work as w where w.entity = known.entity);
    mapped := 0;
    if work then execute format('select count(*) from ids.%I', known.entity) into mapped; end if;
    at_most := work and not exact;
    if work and exact then
      select * into found from migration.foresee(known.entity);
    else
      select coalesce(sum(c.row_count), 0)::bigint as read,
        coalesce(sum(c.row_count), 0)::bigint as new, 0::bigint as recognised,
        least(coalesce(sum(c.row_count), 0), mapped)::bigint as changed,
        case when count(*) > 0 then mapped else 0 end as gone,
        coalesce(sum(c.row_count), 0)::bigint as opened,
        0::bigint as closed
      into found
      from migration.chunks as c where c.entity = known.entity;
    end if;
    read := found.read;
    new := found.new;
    recognised := found.recognised;
    changed := found.changed;
    gone := found.gone;
    opened := found.opened;
    closed := found.closed;
    rejects_allowed := greatest(floor(
      coalesce(known.tolerance, migration.run_option('tolerance')::numeric) * (rows - (
        select count(*) from migration.filtered as f where f.entity = known.entity))), 3);
    rejects_after := opened - closed + (
      select count(*) from migration.rejects as r
      where r.entity = known.entity and r.resolved_run is null);
    removals_allowed := case when known.removes then greatest(floor(0.05 * mapped), 3) end;
    select p.pace into pace from migration.paces() as p where p.entity = known.entity;
    measured := pace is not null;
    pace := coalesce(pace, overall);
    row_bytes := (
      select pg_total_relation_size(c.oid) / c.reltuples::bigint from pg_class as c
      where c.oid = to_regclass(known.target) and c.reltuples >= 200);
    return next;
  end loop;
end
$$;

-- A digest of each source table as this transaction found it: what is approved is approved for these rows.
create or replace function migration.source_state() returns table (source_table text, digest text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select t.source_table, md5(concat_ws(' ', t.identity, t.definition, (
    select string_agg(concat_ws(' ', s.range, s.row_count, s.sum_a, s.sum_b), ',' order by s.range)
    from migration.sums as s where s.source_table = t.source_table)))
  from migration.source_tables as t order by 1
$$;

-- What a plan stands on besides the files: the last run that was done, how many there were, and the source.
create or replace function migration.plan_basis() returns json
language sql stable set search_path = pg_catalog, pg_temp as $$
  select json_build_object(
    'lastRun', (select max(r.run) from migration.runs as r where r.status = 'done'),
    'runs', (select count(*) from migration.runs as r where r.status = 'done'),
    'source', (
      select coalesce(json_object_agg(s.source_table, s.digest), '{}')
      from migration.source_state() as s))
$$;
