-- Roles: one per dispatch_role, the job roles of the workflow.
-- Some names are first names of people: personal data. An abbreviation is no description, so
-- that column is not supplied.
--
-- target   public.roles
-- source   dispatch_role
-- adopt    legacy_id
-- mapping  role

create view transform.roles as
select
  r.id          as legacy_key,
  r.id::integer as legacy_id,
  btrim(r.name) as name,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'abbrev',   r.abbrev,
    'type',     r.type,
    'order',    r."order",
    'user_id',  r.user_id,
    'group_id', r.group_id
  )))           as metadata
from legacy.dispatch_role as r;
