-- Patients: one per dispatch_patient, archived ones included; the person is in profiles.
--
-- target   public.patients
-- source   dispatch_patient
-- adopt    legacy_patient_id
-- mapping  patient
-- reject   orphan_user  its account is not stored

create view transform.patients as
select
  p.id                             as legacy_key,
  p.id::integer                    as legacy_patient_id,
  p.user_id                        as legacy_user_id,
  p.doctor_id                      as legacy_doctor_id,
  profile.id                       as profile_id,
  doctor.id                        as primary_doctor_id,
  office.id                        as assigned_office_id,
  -- padded, never cut: ids reach 531649
  concat(
    'PAT-', lpad(p.id::text, greatest(6, length(p.id::text)), '0')
  )                                as patient_number,
  btrim(p.suffix)                  as suffix,
  -- code 0 is disputed and means unknown here
  (case p.sex
    when 1 then 'male'
    when 2 then 'female'
    else 'unknown'
  end)::public.gender              as sex,
  p.birthdate                      as date_of_birth,
  -- as decided; some read the codes as order statuses, so the raw one is in metadata
  (case
    when p.archived then 'archived'
    when p.status in (1, 4) then 'active'
    when p.status = 2 then 'on_hold'
    when p.status = 10 then 'archived'
    else 'active'
  end)::public.patient_status_type as status,
  p.archived                       as archived,
  p.suspended                      as suspended,
  -- text in the target too: kept character by character
  p.schemes                        as schemes,
  p.submitted_at                   as enrolled_at,
  p.updated_at                     as updated_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'status',    p.status,
    'sex',       p.sex,
    'office_id', p.office_id,
    'suffix',    p.suffix
  )))                              as metadata,
  nullif(concat_ws(',',
    case when p.doctor_id is not null and doctor.id is null then 'doctors' end,
    case when p.office_id is not null and office.id is null then 'offices' end
  ), '')                           as missing,
  case when profile.id is null then 'orphan_user' end as reject
from legacy.dispatch_patient as p
left join ids.profiles as profile on profile.legacy_id = p.user_id
left join ids.doctors  as doctor  on doctor.legacy_id  = p.doctor_id
left join ids.offices  as office  on office.legacy_id  = p.office_id;
