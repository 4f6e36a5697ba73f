-- Technician roles: the roles of group 11 (Technician), one per dispatch_role.
-- dispatch_role.type may hold the same classification, but its codes are unproven: it stays raw.
--
-- target   public.technician_roles
-- source   dispatch_role
-- adopt    legacy_role_id
-- mapping  technician_role
-- deletes  remove
-- filter   not_a_technician_role  the role belongs to another group than Technician

create view transform.technician_roles as
select
  r.id                         as legacy_key,
  r.id::integer                as legacy_role_id,
  -- a profile; NULL when nobody holds the role
  holder.id                    as technician_id,
  btrim(r.name)                as role_name,
  btrim(r.abbrev)              as abbreviation,
  -- known families only, nothing is guessed
  (case
    when family.code = 'ST' or family.code like 'ST-%' then 'sectioning'
    when family.code = 'DT' or family.code like 'DT-%' then 'designing'
    when family.code = 'MT' or family.code like 'MT-%' then 'manufacturing'
    when family.code in ('RT', 'DTR') or family.code like 'RT-%' or family.code like 'DTR-%'
      then 'remote'
    else null
  end)::public.technician_type as role_type,
  -- unknown; the default (the time of the load) would be a lie
  null::timestamptz            as assigned_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'type',    r.type,
    'order',   r."order",
    'user_id', r.user_id
  )))                          as metadata,
  case when r.group_id is distinct from 11 then 'not_a_technician_role' end as filter,
  case when r.user_id is not null and holder.id is null then 'profiles' end as missing
from legacy.dispatch_role as r
cross join lateral (
  select upper(coalesce(nullif(btrim(r.abbrev), ''), btrim(r.name))) as code
) as family
left join ids.profiles as holder on holder.legacy_id = r.user_id;
