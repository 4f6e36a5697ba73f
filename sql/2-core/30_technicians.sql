-- Technicians: the members of group 11 (Technician), one per auth_user.
-- hire_date has no source: joining the web site is not being hired.
--
-- target   public.technicians
-- source   auth_user
-- adopt    legacy_technician_id
-- mapping  technician
-- filter   not_a_technician  the account is not in group Technician

create view transform.technicians as
select
  u.id                           as legacy_key,
  u.id::integer                  as legacy_technician_id,
  u.id::integer                  as legacy_user_id,
  profile.id                     as profile_id,
  btrim(u.first_name)            as first_name,
  btrim(u.last_name)             as last_name,
  email.address                  as email,
  -- limited to 50 characters in the target: left out rather than cut
  case
    when length(u.username) <= 50 then u.username
  end                            as employee_id,
  (case
    when u.is_active then 'active'
    else 'inactive'
  end)::public.employment_status as status,
  u.is_active                    as is_active,
  u.date_joined                  as created_at,
  -- the raw e-mail only where it had to be left out
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'username', u.username,
    'email',    case when btrim(u.email) <> '' and email.address is null then u.email end
  )))                            as metadata,
  case when technician.user_id is null then 'not_a_technician' end as filter,
  case when profile.id is null then 'profiles' end as missing
from legacy.auth_user as u
-- said once: the check of the target's e-mail column in profiles, in lower case
cross join lateral (
  select
    case
      when lower(btrim(u.email)) ~ '^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}$'
        then lower(btrim(u.email))
    end as address
) as email
left join (
  select g.user_id
  from legacy.auth_user_groups as g
  where g.group_id = 11
  group by g.user_id
) as technician on technician.user_id = u.id
left join ids.profiles as profile on profile.legacy_id = u.id;
