-- What a person accepts of the findings of the checks.

-- Accepts findings of a check, in the words of migration.run_check, with a line in the audit trail:
-- they are silent from now on. One that is worded otherwise, by a count or a key, is another finding.
create or replace function migration.acknowledge(name text, findings text[], reason text)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  insert into migration.acknowledged (check_name, finding, reason)
  select distinct name, f.said, reason from unnest(findings) as f (said)
  where not exists (
    select from migration.acknowledged as a where a.check_name = name and a.finding = f.said);
  perform migration.record_event(null, concat('acknowledged ', name),
    jsonb_build_object('reason', reason, 'findings', findings));
end
$$;

-- Map entries of an entity without a row, and not left to the application: one by one, since that is
-- how they are accepted.
create or replace function migration.deleted_rows(entity text) returns table (legacy_id bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
begin
  return query execute format($q$
    select m.legacy_id
    from ids.%1$I as m
    left join %2$s as t on t.id = m.id
    where t.id is null and not exists (
      select from migration.conflicts as c
      where c.entity = %1$L and c.legacy_id = m.legacy_id and c.kind = 'deleted'
        and c.resolution = 'target')
    order by m.legacy_id
  $q$, $1, (select e.target from migration.entities as e where e.entity = $1));
end
$$;
