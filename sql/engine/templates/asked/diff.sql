-- What one of two views says of every row of an entity, as text, into pg_temp.said (see 77_diff.sql). Rendered
-- for each of the two sides when `runner diff` asks for it, and rolled back with its transaction.
--
--   merge.<entity>_<side>   reads the view   the link is open

-- Rows of a key range (NULL = no limit). Where a value cannot be read (class 22, or a domain) the range is halved
-- until single keys remain: `up` would make such a row a reject of that name.
create or replace function merge.{{entity}}_{{side}}(
  first_key bigint default null, end_key bigint default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
set work_mem = '64MB'
as $$
#variable_conflict use_variable
declare
  middle  bigint;
  failure text;
begin
  begin
    insert into pg_temp.said (side, legacy_key, filter, reject, "values")
    select '{{side}}', v.legacy_key, v.filter, v.reject, v."values"
    from (
      -- offset 0: no expression is computed twice; of a row that is left out, none
      select e.legacy_key, {{filter of e}}, {{reject of e}},
        case when {{kept e}} then {{texts of e}} end as "values"
      from {{view}} as e
      where {{between e.legacy_key}}
      offset 0
    ) as v;
    return;
  exception when data_exception or check_violation or not_null_violation then
    get stacked diagnostics failure = returned_sqlstate;
    -- if none
    perform migration.refuse_unsaid(failure, '', '', '');
    -- end if
  end;
  -- if source
  if first_key is null or end_key is null then
    select min(s.id), max(s.id) + 1 into first_key, end_key
    from {{versions}} as s where {{between s.id}};
  end if;
  if end_key - first_key > 1 then
    middle := first_key + (end_key - first_key) / 2;
    perform merge.{{entity}}_{{side}}(first_key, middle);
    perform merge.{{entity}}_{{side}}(middle, end_key);
    return;
  end if;
  insert into pg_temp.said (side, legacy_key, reject)
  select '{{side}}', s.id, concat('error_', failure)
  from {{versions}} as s where s.id = first_key;
  -- end if
end
$$;
