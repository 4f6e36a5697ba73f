-- Profiles: one per auth_user, active or not.
-- The password hash is not selected: the platform cannot verify it, and readers of profiles
-- would see it. An e-mail address identifies nobody here: several users share one.
--
-- target   public.profiles
-- source   auth_user
-- adopt    legacy_user_id
-- mapping  profile

create view transform.profiles as
select
  u.id                               as legacy_key,
  u.id::integer                      as legacy_user_id,
  -- the lowest patient id, should a user have several
  patient.id::integer                as legacy_patient_id,
  -- the first that holds wins, as decided: a superuser who treats patients without being in
  -- group 2 becomes master; groups: 2 Doctor, 4 Administrator, 5 Master, 11 Technician
  (case
    when patient.id is not null then 'patient'
    when 11 = any (membership.ids) then 'technician'
    when 2 = any (membership.ids) then 'doctor'
    when u.is_superuser or u.is_staff or 5 = any (membership.ids) or 4 = any (membership.ids)
      then 'master'
    when doctor.user_id is not null then 'doctor'
    else 'client'
  end)::public.profile_type          as profile_type,
  -- empty and odd names stay as they are
  btrim(u.first_name)                as first_name,
  btrim(u.last_name)                 as last_name,
  email.address                      as email,
  u.username                         as username,
  patient.birthdate                  as date_of_birth,
  -- code 0 is disputed and means unknown here
  (case patient.sex
    when 1 then 'male'
    when 2 then 'female'
    else 'unknown'
  end)::public.gender                as gender,
  u.is_active                        as is_active,
  coalesce(patient.archived, false)  as archived,
  coalesce(patient.suspended, false) as suspended,
  -- '' satisfies the check of the table without inventing a suffix
  case
    when patient.id is not null then coalesce(btrim(patient.suffix), '')
  end                                as patient_suffix,
  u.last_login                       as last_login_at,
  u.date_joined                      as created_at,
  -- the raw e-mail only where it had to be left out
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'email',        case when btrim(u.email) <> '' and email.address is null then u.email end,
    'groups',       to_jsonb(membership.ids),
    'is_superuser', u.is_superuser,
    'is_staff',     u.is_staff,
    'sex',          patient.sex,
    'user_settings', case
      when setting.user_id is not null
        then jsonb_build_object('emails', setting.emails, 'require_2fa', setting.require_2fa)
    end
  )))                                as metadata
from legacy.auth_user as u
-- said once: the check of the target's e-mail column, in lower case
cross join lateral (
  select
    case
      when lower(btrim(u.email)) ~ '^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}$'
        then lower(btrim(u.email))
    end as address
) as email
left join (
  select distinct on (p.user_id)
    p.user_id,
    p.id,
    p.birthdate,
    p.sex,
    p.archived,
    p.suspended,
    p.suffix
  from legacy.dispatch_patient as p
  order by p.user_id, p.id
) as patient on patient.user_id = u.id
left join (
  select
    g.user_id,
    array_agg(g.group_id order by g.group_id) as ids
  from legacy.auth_user_groups as g
  group by g.user_id
) as membership on membership.user_id = u.id
left join (
  select m.user_id from legacy.dispatch_office_doctors as m
  union
  select s.user_id from legacy.dispatch_doctorsetting as s
  union
  select t.doctor_id from legacy.dispatch_patient as t where t.doctor_id is not null
) as doctor on doctor.user_id = u.id
left join (
  select distinct on (s.user_id)
    s.user_id,
    s.emails,
    s.require_2fa
  from legacy.dispatch_usersetting as s
  order by s.user_id, s.id
) as setting on setting.user_id = u.id;
