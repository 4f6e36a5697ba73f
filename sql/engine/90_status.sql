-- What a person asks: how things stand, what was refused, what was done. None of this writes but the
-- last function. Commands that meet the functions of other files in the target lend this file to it,
-- in a transaction that is rolled back: it needs nothing but the tables of the ledger.

-- a function whose result has changed cannot be replaced
drop function if exists
  migration.summary,
  migration.entity_summaries,
  migration.reject_counts,
  migration.reject_rows,
  migration.failed_rows,
  migration.conflict_counts,
  migration.conflict_rows,
  migration.runner_at_work,
  migration.sessions_left,
  migration.how_far,
  migration.incomplete_entities,
  migration.stray_entities,
  migration.removal_has_begun,
  migration.audit_lines,
  migration.uninstall;

-- What is true of each entity of the ledger: its last attempt, and the counts of the last one that
-- came to its end, of the one in a run where one is named.
create or replace function migration.entity_summaries(of_run bigint)
returns table (
  entity text, file_hash text, status text, source bigint, inserted bigint, updated bigint,
  unchanged bigint, kept bigint, rejected bigint, filtered bigint, read bigint, balanced boolean,
  seconds float8, gone bigint, error text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.entity, e.file_hash,
    case when last.status = 'failed' then 'failed' else e.status end,
    done.source, done.inserted, done.updated, done.unchanged, done.kept, done.rejected,
    done.filtered, done.rows_read, done.balanced,
    extract(epoch from done.finished_at - done.started_at)::float8,
    (select count(*) from migration.gone as g where g.entity = e.entity),
    case when last.status = 'failed' then last.error end
  from migration.entities as e
  left join lateral (
    select c.status, c.error from migration.control as c
    where c.entity = e.entity
    order by c.run desc limit 1
  ) as last on true
  left join lateral (
    select c.* from migration.control as c
    where c.entity = e.entity and c.status = 'done' and (of_run is null or c.run = of_run)
    order by c.run desc limit 1
  ) as done on e.status <> 'new'
$$;

-- Open rejects, of one entity or of all.
create or replace function migration.reject_counts(of_entity text default null)
returns table (entity text, reason text, kind text, count bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select r.entity, r.reason, r.kind, count(*)
  from migration.rejects as r
  where r.resolved_run is null and (of_entity is null or r.entity = of_entity)
  group by 1, 2, 3
  order by 1, 2
$$;

-- The rows themselves; what the source row says only where that is wanted. leads_nowhere: the key that
-- does, `column key`; pointers says which columns hold it, {"entity": {"reason": [column]}}. most: NULL = all.
create or replace function migration.reject_rows(
  of_entity text, with_data boolean, most bigint, pointers jsonb default '{}')
returns table (
  entity text, legacy_id bigint, key text, reason text, leads_nowhere text, sqlstate text,
  constraint_name text, column_name text, first_run bigint, source_row text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select r.entity, r.legacy_id, coalesce((
      -- nobody finds a row by the number of a key that is none
      select string_agg(r.source_row ->> k.name, ' ' order by k.place)
      from migration.entities as e
      join migration.links as l on l.source_table = e.source and not l.is_number
      cross join unnest(l.key_columns) with ordinality as k (name, place)
      where e.entity = r.entity), r.legacy_id::text), r.reason, (
      select string_agg(concat(p.name, ' ', coalesce(r.source_row ->> p.name, 'null')), ', '
        order by p.place)
      from jsonb_array_elements_text(pointers -> r.entity -> r.reason)
        with ordinality as p (name, place)
      where r.source_row ? p.name),
    r.sqlstate, r.constraint_name, r.column_name, r.first_run,
    case when with_data then r.source_row::text end
  from migration.rejects as r
  where r.resolved_run is null and (of_entity is null or r.entity = of_entity)
  order by 1, 2
  limit most
$$;

-- Rows that made the last attempt of an entity fail and were rolled back with it, the first hundred of
-- each; without those that are open rejects as well, since they were committed before.
create or replace function migration.failed_rows(of_entity text, most bigint)
returns table (
  entity text, run bigint, legacy_id bigint, reason text, sqlstate text, constraint_name text,
  column_name text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select last.entity, last.run, (r.value ->> 'key')::bigint, r.value ->> 'reason',
    r.value ->> 'sqlstate', r.value ->> 'constraint', r.value ->> 'column'
  from (
    select distinct on (c.entity) c.entity, c.run, c.status, c.refused
    from migration.control as c
    where of_entity is null or c.entity = of_entity
    order by c.entity, c.run desc
  ) as last
  cross join lateral jsonb_array_elements(last.refused) as r (value)
  where last.status = 'failed' and not exists (
    select from migration.rejects as j
    where j.entity = last.entity and j.legacy_id = (r.value ->> 'key')::bigint
      and j.resolved_run is null)
  order by 1, 3
  limit most
$$;

-- Rows that both sides had changed, by what became of them; of one entity or of all, in a run or ever.
create or replace function migration.conflict_counts(
  of_entity text default null, of_run bigint default null)
returns table (entity text, kind text, resolution text, count bigint, last_run bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select c.entity, c.kind, c.resolution, count(*), max(c.run)
  from migration.conflicts as c
  where (of_entity is null or c.entity = of_entity) and (of_run is null or c.run = of_run)
  group by 1, 2, 3
  order by 1, 2, 3
$$;

-- The rows themselves, the last ones first.
create or replace function migration.conflict_rows(of_entity text, most bigint)
returns table (
  entity text, legacy_id bigint, id uuid, kind text, resolution text, run bigint, found_at text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select c.entity, c.legacy_id, c.id, c.kind, c.resolution, c.run,
    to_char(c.found_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
  from migration.conflicts as c
  where of_entity is null or c.entity = of_entity
  order by c.conflict_id desc
  limit most
$$;

-- The session that holds the lock of the one runner, by what the server knows of it now: a row in a
-- table could not be changed by a process that is dead. NULL where nobody is at work. A session that
-- connected after a run began is not the one of that run.
create or replace function migration.runner_at_work() returns json
language sql stable set search_path = pg_catalog, pg_temp as $$
  select json_build_object('name', a.application_name, 'since', a.backend_start::text)
  from pg_locks as l
  join pg_database as d on d.oid = l.database and d.datname = current_database()
  join pg_stat_activity as a on a.pid = l.pid
  where l.locktype = 'advisory' and l.classid = 20250401 and l.objid = 1 and l.objsubid = 2
    and l.granted
  limit 1
$$;

-- Sessions of runners that write: of one that died, the server may still be ending the last statement.
create or replace function migration.sessions_left() returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select count(*) from pg_stat_activity as a
  where a.datname = current_database() and a.application_name ~ '^runner( worker \d+)?$'
    and a.pid <> pg_backend_pid()
$$;

-- Source rows as the last run that planned found them, and those of them that are settled: stored,
-- rejected or left out, and committed.
create or replace function migration.how_far() returns json
language sql stable set search_path = pg_catalog, pg_temp as $$
  select json_build_object(
    'total', coalesce(sum(coalesce(w.source_rows, r.source_rows)), 0),
    -- least() passes over NULL
    'settled', coalesce(sum(case when r.source_rows is not null
      then least(r.source_rows, w.source_rows) end), 0),
    'rejected', coalesce(sum(r.rejected), 0))
  from migration.work as w
  full join (
    select g.entity, sum(g.source_rows) as source_rows, sum(g.rejected) as rejected
    from migration.ranges as g group by 1
  ) as r on r.entity = w.entity
$$;

-- All of it: {entities, rejects, findings, conflicts, lastRun, atWork, howFar}. The counts and the conflicts of
-- a run, where one is named; findings: what checks said of the whole when a good part of it was read last.
create or replace function migration.summary(
  of_run bigint default null, conflicts_of bigint default null) returns json
language sql stable set search_path = pg_catalog, pg_temp as $$
  select json_build_object(
    'entities', (
      select coalesce(json_agg(s), '[]') from migration.entity_summaries(of_run) as s),
    'rejects', (
      select coalesce(json_agg(r), '[]')
      from (
        select c.entity, c.reason, sum(c.count) as count
        from migration.reject_counts() as c
        group by 1, 2
        order by 1, 2
      ) as r),
    'findings', (
      select coalesce(json_agg(json_build_object('check', f.name, 'rows', f.findings,
        'says', f.says) order by f.name), '[]')
      from (
        select distinct on (c.name) c.name, c.findings, c.says
        from migration.check_results as c where c.says is not null
        order by c.name, c.run desc
      ) as f
      where f.findings > 0),
    'conflicts', (
      select coalesce(json_agg(c), '[]')
      from (
        select c.resolution, sum(c.count) as count
        from migration.conflict_counts(null, conflicts_of) as c
        group by 1 order by 1
      ) as c),
    'runs', (select count(*) from migration.runs),
    'database', current_database(),
    'atWork', migration.runner_at_work(),
    'sessionsLeft', migration.sessions_left(),
    'howFar', migration.how_far(),
    'lastRun', (
      select json_build_object('run', r.run, 'command', r.command, 'status', r.status,
        'started', r.started_at::text, 'seconds', extract(epoch from
          coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float8,
        'by', r.options ->> 'by', 'pid', (r.options ->> 'pid')::bigint,
        -- the last that it committed: a run that died was alive then
        'seen', greatest(r.started_at, (
          select max(greatest(c.started_at, c.finished_at)) from migration.control as c
          where c.run = r.run), (
          select max(v.at) from migration.events as v where v.run = r.run))::text)
      from migration.runs as r
      order by r.run desc limit 1))
$$;

-- Entities whose last attempt did not come to its end.
create or replace function migration.incomplete_entities() returns table (entity text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.entity from migration.entities as e where e.status = 'partial' order by e.phase, e.entity
$$;

-- Entities with state that the files, [{entity, target, source}], do not define, or define with another
-- target or source. `renamed`: an entity without state that writes the same table from the same source.
create or replace function migration.stray_entities(defined jsonb)
returns table (
  entity text, phase text, target text, source text, defined boolean, target_now text,
  source_now text, renamed text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with files as materialized (
    select d.*, exists (
      select from migration.entities as e where e.entity = d.entity and e.status <> 'new') as has_state
    from jsonb_to_recordset(defined) as d (entity text, target text, source text)
  )
  select e.entity, e.phase, e.target, e.source, f.entity is not null, f.target, f.source,
    (select min(o.entity) from files as o
     where f.entity is null and not o.has_state
       and (o.target, coalesce(o.source, '')) = (e.target, coalesce(e.source, '')))
  from migration.entities as e
  left join files as f on f.entity = e.entity
  where e.status <> 'new'
    and (f.entity is null or (f.target, f.source) is distinct from (e.target, e.source))
  order by e.phase, e.entity
$$;

-- The column removal keeps its backups in schema migration.
create or replace function migration.removal_has_begun() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('migration.schema_change_hashes') is null then return false; end if;
  return exists (select from migration.schema_change_hashes as s where s.folder = 'removal');
end
$$;

create or replace function migration.audit_lines() returns table (line text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select to_json(e)::text from migration.events as e order by e.event
$$;

-- Removes link, views, functions, id maps and ledger, and itself with them. The rows stay, and so does
-- schema legacy_archive.
create or replace function migration.uninstall() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  drop server if exists legacy_source cascade;
  drop schema if exists merge, transform, legacy, legacy_versions, ids, migration cascade;
end
$$;
