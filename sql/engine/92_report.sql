-- What `report` says, a part per function: every number of it can be asked for by hand. None of
-- this writes. What a report needs of the audit trail is what `verify` and `check` left there.

-- a function whose result has changed cannot be replaced
drop function if exists
  migration.last_event,
  migration.last_write,
  migration.report_runs,
  migration.report_phases,
  migration.report_entities,
  migration.report_rejects,
  migration.report_left_out,
  migration.report_gone,
  migration.report_edits,
  migration.report_verified,
  migration.report_checks,
  migration.report_accepted,
  migration.report_amounts,
  migration.report_place,
  migration.report;

-- Number of the last line of the audit trail: what a proof, which is entered when it is over, had
-- seen when it began.
create or replace function migration.last_event() returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(max(e.event), 0) from migration.events as e
$$;

-- The last line of the audit trail after which something else may be stored, or rejected: every
-- line but those of proofs, and of runs that entered no range. A line of an unknown kind counts.
create or replace function migration.last_write()
returns table (event bigint, at text, run bigint, what text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.event, e.at::text, e.run, e.what
  from migration.events as e
  left join migration.runs as r on r.run = e.run
  where e.what not in ('verified', 'checked', 'certificate')
    and e.what not like 'acknowledged %'
    and not (
      r.command = 'up' and r.status = 'done' and e.what in ('up started', 'run done')
      and not exists (
        select from migration.control as c
        where c.run = r.run and (c.status <> 'done' or c.rows_read <> 0
          or c.inserted + c.updated + c.kept + c.gone <> 0))
      -- rows read that are rejected are not among those
      and not exists (select from migration.ranges as g where g.run = r.run))
  order by e.event desc
  limit 1
$$;

create or replace function migration.report_runs()
returns table (
  run bigint, command text, status text, started text, seconds float8, who text, client text,
  rows_read bigint, inserted bigint, updated bigint, kept bigint, gone bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select r.run, r.command, r.status, r.started_at::text,
    extract(epoch from r.finished_at - r.started_at)::float8, r.run_by, r.client,
    coalesce(sum(c.rows_read), 0)::bigint, coalesce(sum(c.inserted), 0)::bigint,
    coalesce(sum(c.updated), 0)::bigint, coalesce(sum(c.kept), 0)::bigint,
    coalesce(sum(c.gone), 0)::bigint
  from migration.runs as r
  left join migration.control as c on c.run = r.run and c.status = 'done'
  group by r.run
  order by r.run
$$;

-- Phases of the runs in which they had something to do; `began`: seconds since the run did.
create or replace function migration.report_phases()
returns table (run bigint, phase text, began float8, seconds float8, rows_read bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select c.run, c.phase, extract(epoch from min(c.started_at) - min(r.started_at))::float8,
    extract(epoch from max(c.finished_at) - min(c.started_at))::float8, sum(c.rows_read)::bigint
  from migration.control as c
  join migration.runs as r on r.run = c.run
  where c.rows_read > 0 and c.finished_at is not null
  group by c.run, c.phase
  order by c.run, 3
$$;

-- Each entity, its rows counted where they are kept, so that the account does not rest on what was
-- counted while they were written; `counted_by` says how. `busiest`: of its attempts the one that
-- read most. `digest`: over key, id and hash of every row that is mapped, 10,000 keys at a time.
create or replace function migration.report_entities()
returns table (
  entity text, phase text, target text, source_table text, source bigint, stored bigint,
  rejected bigint, left_out bigint, gone bigint, adopted bigint, lacking bigint,
  rules bigint, rules_allowed bigint, errors bigint, errors_allowed bigint,
  busiest_run bigint, busiest_rows bigint, busiest_seconds float8, digest text, counted_by text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  known migration.entities;
begin
  for known in
    select * from migration.entities as e
    where e.status <> 'new' order by e.phase = 'archive', e.phase, e.position, e.entity
  loop
    entity := known.entity;
    phase := known.phase;
    target := known.target;
    source_table := known.source;
    select coalesce(sum(r.source_rows), 0)::bigint into source
    from migration.ranges as r where r.entity = known.entity;
    select count(*), count(*) filter (where j.kind = 'rule'),
      count(*) filter (where j.kind = 'error')
    into rejected, rules, errors
    from migration.rejects as j where j.entity = known.entity and j.resolved_run is null;
    select count(*) into left_out from migration.filtered as f where f.entity = known.entity;
    select count(*) into gone from migration.gone as g where g.entity = known.entity;
    rules_allowed := greatest(floor(coalesce(known.tolerance,
      migration.run_option('tolerance')::numeric, 0.01) * (source - left_out)), 3);
    errors_allowed := greatest(floor(0.001 * (source - left_out)), 1);
    busiest_run := null;
    busiest_rows := null;
    busiest_seconds := null;
    select c.run, c.rows_read, extract(epoch from c.finished_at - c.started_at)::float8
    into busiest_run, busiest_rows, busiest_seconds
    from migration.control as c
    where c.entity = known.entity and c.status = 'done' and c.rows_read > 0
    order by c.rows_read desc, c.run desc limit 1;
    if known.phase = 'archive' then
      adopted := 0;
      lacking := 0;
      digest := null;
      counted_by := format('select count(*) from %s', known.target);
      execute counted_by into stored;
    else
      counted_by := format('select count(*) from ids.%I as m where not exists (select from '
        'migration.gone as g where g.entity = %L and g.legacy_id = m.legacy_id)',
        known.entity, known.entity);
      execute counted_by into stored;
      execute format($q$
        with parts as (
          select div(m.legacy_id, 10000) as part, count(*) filter (where m.adopted) as adopted,
            count(*) filter (where m.missing is not null) as lacking,
            sha256(string_agg(concat_ws(' ', m.legacy_id, m.id, m.row_hash), ','
              order by m.legacy_id)::bytea) as digest
          from ids.%I as m group by 1
        )
        select coalesce(sum(p.adopted), 0)::bigint, coalesce(sum(p.lacking), 0)::bigint,
          encode(sha256(coalesce(string_agg(p.digest, '' order by p.part), '')), 'hex')
        from parts as p
      $q$, known.entity) into adopted, lacking, digest;
    end if;
    return next;
  end loop;
end
$$;

-- Open rejects by reason, with the first twenty keys; `first_seen`: when the first of them was.
create or replace function migration.report_rejects()
returns table (
  entity text, kind text, reason text, sqlstate text, constraint_name text, column_name text,
  row_count bigint, keys bigint[], first_run bigint, first_seen text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select j.entity, j.kind, j.reason, j.sqlstate, j.constraint_name, j.column_name, count(*),
    (array_agg(j.legacy_id order by j.legacy_id))[:20], min(j.first_run), min(r.started_at)::text
  from migration.rejects as j
  left join migration.runs as r on r.run = j.first_run
  where j.resolved_run is null
  group by 1, 2, 3, 4, 5, 6
  order by 7 desc, 1, 3
$$;

create or replace function migration.report_left_out()
returns table (entity text, reason text, row_count bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select f.entity, f.reason, count(*)
  from migration.filtered as f
  group by 1, 2
  order by 3 desc, 1, 2
$$;

create or replace function migration.report_gone()
returns table (entity text, reason text, row_count bigint, keys bigint[])
language sql stable set search_path = pg_catalog, pg_temp as $$
  select g.entity, g.reason, count(*), (array_agg(g.legacy_id order by g.legacy_id))[:20]
  from migration.gone as g group by 1, 2 order by 1, 2
$$;

-- Rows that both sides changed, by who won; and images of rows as they were before us.
create or replace function migration.report_edits()
returns table (entity text, what text, row_count bigint, keys bigint[])
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.entity, e.what, count(distinct e.legacy_id),
    (array_agg(distinct e.legacy_id order by e.legacy_id))[:20]
  from (
    select c.entity, c.legacy_id, concat(c.kind, ' by the application: ', case c.resolution
      when 'target' then 'left as it is' else 'the source won, an image is kept' end) as what
    from migration.conflicts as c
    union all
    select b.entity, b.legacy_id, concat('image: ', b.reason) from migration.before_images as b
  ) as e
  group by 1, 2
  order by 1, 2
$$;

-- What `verify` found, the last first; `stands`: nothing was written since it began.
create or replace function migration.report_verified()
returns table (event bigint, at text, who text, run bigint, stands boolean, details jsonb)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.event, e.at::text, e.who, e.run,
    coalesce((e.details ->> 'after')::bigint >= w.event, true), e.details
  from migration.events as e
  left join migration.last_write() as w on true
  where e.what = 'verified'
  order by e.event desc
  limit 200
$$;

-- What each check said when it ran last.
create or replace function migration.report_checks()
returns table (
  event bigint, at text, who text, run bigint, stands boolean, files text, result jsonb)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select distinct on (r.value ->> 'name') e.event, e.at::text, e.who, e.run,
    coalesce((e.details ->> 'after')::bigint >= w.event, true), e.details ->> 'files', r.value
  from migration.events as e
  left join migration.last_write() as w on true
  cross join lateral jsonb_array_elements(e.details -> 'results') as r (value)
  where e.what = 'checked'
  order by r.value ->> 'name', e.event desc
$$;

create or replace function migration.report_accepted()
returns table (check_name text, reason text, who text, at text, findings bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select a.check_name, a.reason, a.who, min(a.at)::text, count(*)
  from migration.acknowledged as a group by 1, 2, 3 order by 1, 4
$$;

-- The amounts that a check compares (migration.money_differences), equal or not: per column and
-- group, and per column over all groups (in_group null). As text: a number of JSON is a float.
create or replace function migration.report_amounts(query text)
returns table (
  entity text, amount text, in_group text, source_rows bigint, target_rows bigint,
  rejected_rows bigint, source text, target text, rejected text, difference text)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off as $$
#variable_conflict use_column
declare
  found_row record;
  found     jsonb := '[]';
begin
  perform set_config('migration.totals', 'all', true);
  perform set_config('migration.equal', '', true);
  perform migration.look_at('', null);
  for found_row in execute query loop found := found || to_jsonb(found_row); end loop;
  perform set_config('migration.totals', '', true);
  return query
    select d.entity_name, d.column_name, d.in_group, sum(d.source_rows)::bigint,
      sum(d.target_rows)::bigint, sum(d.rejected_rows)::bigint,
      migration.amount_text(sum(d.source_total)), migration.amount_text(sum(d.target_total)),
      migration.amount_text(sum(d.rejected_total)),
      migration.amount_text(sum(d.source_total - d.target_total - d.rejected_total))
    from jsonb_to_recordset(found) as d (
      entity_name text, column_name text, in_group text, source_rows bigint, target_rows bigint,
      rejected_rows bigint, source_total numeric, target_total numeric, rejected_total numeric)
    group by grouping sets (
      (d.entity_name, d.column_name), (d.entity_name, d.column_name, d.in_group))
    -- where nothing is grouped, both are the same row
    having grouping(d.in_group) = 1 or d.in_group is not null
    order by 1, 2, d.in_group nulls first;
end
$$;

-- An amount with its cents, and no more digits than it has.
create or replace function migration.amount_text(amount numeric) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select round(amount, greatest(2, min_scale(amount)))::text
$$;

create or replace function migration.report_place()
returns table (
  database text, server text, edition integer, at text, wal text, source_history text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select current_database(), current_setting('server_version'),
    (select i.edition from migration.installed as i), statement_timestamp()::text,
    case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end::text,
    (select string_agg(distinct s.identity, '; ') from migration.source_tables as s)
$$;

-- All of it but the amounts, in one snapshot.
create or replace function migration.report() returns json
language sql stable set search_path = pg_catalog, pg_temp as $$
  select json_build_object(
    'place', (select row_to_json(r) from migration.report_place() as r),
    'lastWrite', (select row_to_json(r) from migration.last_write() as r),
    'runs', (select coalesce(json_agg(r), '[]') from migration.report_runs() as r),
    'phases', (select coalesce(json_agg(r), '[]') from migration.report_phases() as r),
    'entities', (select coalesce(json_agg(r), '[]') from migration.report_entities() as r),
    'rejects', (select coalesce(json_agg(r), '[]') from migration.report_rejects() as r),
    'leftOut', (select coalesce(json_agg(r), '[]') from migration.report_left_out() as r),
    'gone', (select coalesce(json_agg(r), '[]') from migration.report_gone() as r),
    'edits', (select coalesce(json_agg(r), '[]') from migration.report_edits() as r),
    'verified', (select coalesce(json_agg(r), '[]') from migration.report_verified() as r),
    'checks', (select coalesce(json_agg(r), '[]') from migration.report_checks() as r),
    'accepted', (select coalesce(json_agg(r), '[]') from migration.report_accepted() as r))
$$;
