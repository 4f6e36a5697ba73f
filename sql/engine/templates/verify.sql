-- The comparison of one entity: every row of its view with the target and the id map. Rendered once
-- per entity, as merge.sql; nothing is written.
--
--   merge.<entity>_verify     what is wrong with which rows              the link is open
--   merge.<entity>_differing  in which columns some rows differ          the link is open
--   merge.<entity>_touched    how many rows the application has changed  the link may be closed

-- Rows of a key range (NULL = no limit) that are not in the target as the view has them: `missing`;
-- `surplus`, mapped but no row to store any more; `differs`, the view says something else than when it
-- was written; `changed`, the target was changed since; `duplicate`, another target row has the same
-- adoption key. And what is known, and no difference: `rewritten`, as a trigger of the target stored
-- it when it was written; `rejected`, an open reject of this version of the source row.
-- How many were compared is the sum of `compared` over all rows; `kind` may be NULL. Where a value
-- cannot be read (class 22, or a domain) the range is halved until single keys remain: such a row has to be a
-- reject, and is missing where it is none.
create or replace function merge.{{entity}}_verify(
  first_key bigint default null, end_key bigint default null)
returns table (legacy_key bigint, kind text, compared bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
set work_mem = '64MB'
as $$
#variable_conflict use_variable
declare
  rejected bigint[] := array(
    select r.legacy_id from migration.rejects as r
    where r.entity = '{{entity}}' and r.resolved_run is null and {{between r.legacy_id}});
  -- the view says nothing of these: what was refused under another file may be stored under this one
  refused  bigint[] := array(
    select r.legacy_id from migration.rejects as r
    join migration.entities as e on e.entity = r.entity and e.file_hash = e.defined_hash
    where r.entity = '{{entity}}' and r.resolved_run is null and r.kind = 'error'
      and {{between r.legacy_id}});
  total    bigint;
  keys     bigint[];
  kinds    text[];
  middle   bigint;
begin
  -- if source
  -- nor does a refusal of another version say anything of this one
  if cardinality(refused) > 0 then
    refused := array(
      select r.legacy_id
      from (select s.id, s.version from {{versions}} as s where s.id = any (refused) offset 0) as s
      join migration.rejects as r
        on r.entity = '{{entity}}' and r.legacy_id = s.id and r.version = s.version);
  end if;
  -- end if
  begin
    with view_rows as materialized (
      select v.legacy_key, v.reject is not null as is_rejected,
        {{hash of v}} as row_hash{{adopted of v}}
      from (
        -- offset 0: no expression is computed twice
        select e.legacy_key, {{columns of e}}, {{reject of e}}
        from {{view}} as e
        where {{between e.legacy_key}}{{unfiltered e}}
        offset 0
      ) as v
    ),
    map_rows as materialized (
      select m.legacy_id, m.row_hash, m.written_hash, t.id, {{hash of t}} as stored_hash
      from {{ids}} as m
      left join {{target}} as t on t.id = m.id
      where {{between m.legacy_id}} and not exists (
        select from migration.gone as g
        where g.entity = '{{entity}}' and g.legacy_id = m.legacy_id)
    ),
    found as (
      select coalesce(v.legacy_key, m.legacy_id) as legacy_key,
        case
          when m.legacy_id is not null and (v.legacy_key is null or v.is_rejected) then 'surplus'
          when v.is_rejected then case when v.legacy_key = any (rejected) then 'rejected' end
          when m.legacy_id is null and v.legacy_key = any (refused) then 'rejected'
          when m.id is null then 'missing'
          when m.stored_hash = v.row_hash then null
          when v.row_hash is distinct from m.row_hash then 'differs'
          when m.stored_hash is distinct from m.written_hash then 'changed'
          else 'rewritten'
        end as kind
      from view_rows as v full join map_rows as m on m.legacy_id = v.legacy_key
      -- if adopt
      union all
      select b.legacy_key, 'duplicate'
      from view_rows as b
      join {{target}} as t on {{adoption}}
      where not b.is_rejected
{{unmapped t}}
      -- end if
    )
    select (select count(*) from view_rows as v
        where not v.is_rejected and v.legacy_key <> all (refused)),
      array_agg(f.legacy_key order by f.legacy_key, f.kind),
      array_agg(f.kind order by f.legacy_key, f.kind)
    into total, keys, kinds
    from found as f where f.kind is not null;
    return query
    select null::bigint, null::text, total
    union all
    select f.legacy_key, f.kind, 0::bigint from unnest(keys, kinds) as f (legacy_key, kind);
    return;
  exception when data_exception or check_violation or not_null_violation then
    -- if none
    perform migration.refuse_unsaid(sqlstate, '', '', '');
    -- end if
    -- if source
    select min(k.id), max(k.id) + 1 into first_key, end_key
    from (
      select s.id from {{versions}} as s where {{between s.id}}
      union all
      select m.legacy_id from {{ids}} as m where {{between m.legacy_id}}
    ) as k;
    if first_key is null then perform migration.refuse_unsaid(sqlstate, '', '', ''); end if;
    -- end if
  end;
  -- if source
  if end_key - first_key > 1 then
    middle := first_key + (end_key - first_key) / 2;
    return query select r.* from merge.{{entity}}_verify(first_key, middle) as r;
    return query select r.* from merge.{{entity}}_verify(middle, end_key) as r;
    return;
  end if;
  if first_key = any (refused) then
    return query select first_key, 'rejected', 0::bigint;
  else
    return query select first_key, 'missing', 1::bigint;
  end if;
  -- end if
end
$$;

-- The columns in which rows of the view are not as stored, and the values, if they may be shown.
create or replace function merge.{{entity}}_differing(keys bigint[], show_data boolean)
returns table (legacy_key bigint, columns text[], "values" text[])
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
as $$
#variable_conflict use_variable
begin
  return query
  select v.legacy_key,
    array_agg(c.name order by c.place),
    case when show_data
      then array_agg(concat(c.name, ': ', left(c.said, 80), ' <> ', left(c.stored, 80)) order by c.place)
      else '{}'
    end
  from (
    select e.legacy_key, {{columns of e}} from {{view}} as e
    where e.legacy_key = any (keys){{unfiltered e}}
    offset 0
  ) as v
  join {{ids}} as m on m.legacy_id = v.legacy_key
  join {{target}} as t on t.id = m.id
  cross join lateral (values
{{pairs v t}}
  ) as c (place, name, said, stored)
  where c.said is distinct from c.stored
  group by v.legacy_key;
end
$$;

-- Rows the application changed or deleted since we wrote them.
create or replace function merge.{{entity}}_touched() returns bigint
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select count(*) from {{ids}} as m
  left join {{target}} as t on t.id = m.id
  where t.id is null or {{hash of t}} is distinct from m.written_hash
$$;
