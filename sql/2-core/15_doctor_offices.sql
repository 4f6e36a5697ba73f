-- Doctor offices: one per dispatch_office_doctors, which doctor works in which office.
-- doctor_id is a profile here, not a row of doctors.
--
-- target   public.doctor_offices
-- source   dispatch_office_doctors
-- adopt    doctor_id, office_id
-- deletes  remove
-- reject   orphan_doctor  the doctor's account is not stored
-- reject   orphan_office  its office is not stored

create view transform.doctor_offices as
select
  m.id                           as legacy_key,
  profile.id                     as doctor_id,
  office.id                      as office_id,
  -- the source marks none; the same office as doctors.primary_office_id
  m.office_id = lowest.office_id as is_primary,
  -- a link that is there is in force
  true                           as is_active,
  case
    when profile.id is null then 'orphan_doctor'
    when office.id is null then 'orphan_office'
  end                            as reject
from legacy.dispatch_office_doctors as m
left join ids.profiles as profile on profile.legacy_id = m.user_id
left join ids.offices  as office  on office.legacy_id  = m.office_id
left join (
  select
    n.user_id,
    min(n.office_id) as office_id
  from legacy.dispatch_office_doctors as n
  inner join ids.offices as f on f.legacy_id = n.office_id
  group by n.user_id
) as lowest on lowest.user_id = m.user_id;
