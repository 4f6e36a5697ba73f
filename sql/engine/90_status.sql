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
  entity text, legacy_id bigint, reason text, leads_nowhere text, sqlstate text,
  constraint_name text, column_name text, first_run bigint, source_row text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select r.entity, r.legacy_id, r.reason, (
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

-- All of it: {entities, rejects, findings, lastRun}; findings: what checks said of the whole when a good part
-- of it was read last.
create or replace function migration.summary(of_run bigint default null) returns json
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
    'lastRun', (
      select json_build_object('run', r.run, 'command', r.command, 'status', r.status,
        'started', r.started_at::text, 'seconds', extract(epoch from
          coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float8)
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
