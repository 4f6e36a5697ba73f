-- Cases: one per dispatch_patient; an archived or suspended patient is not a deleted case.
-- Clinical columns stay empty: the data belong to the orders, several per case.
--
-- target   public.cases
-- source   dispatch_patient
-- adopt    legacy_patient_id
-- mapping  case
-- reject   orphan_patient  the patient itself is not stored

create view transform.cases as
select
  p.id                                as legacy_key,
  p.id::integer                       as legacy_patient_id,
  patient.id                          as patient_id,
  doctor.id                           as primary_doctor_id,
  office.id                           as office_id,
  -- changes with the suffix; the row is recognised by legacy_patient_id
  concat_ws(
    '-', 'CASE', nullif(btrim(p.suffix), ''), p.id
  )                                   as case_number,
  -- other codes: NULL, nothing is guessed
  (case
    when p.status in (1, 4) then 'active'
    when p.status = 2 then 'on_hold'
    else null
  end)::public.case_status_type       as status,
  -- the source deletes no patients
  false                               as deleted,
  -- the source has no creation time: the earliest one recorded in the row
  least(p.submitted_at, p.updated_at) as created_at,
  p.updated_at                        as updated_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'status',    p.status,
    'archived',  p.archived,
    'suspended', p.suspended,
    'suffix',    p.suffix,
    'doctor_id', p.doctor_id,
    'office_id', p.office_id
  )))                                 as metadata,
  nullif(concat_ws(',',
    case when p.doctor_id is not null and doctor.id is null then 'doctors' end,
    case when p.office_id is not null and office.id is null then 'offices' end
  ), '')                              as missing,
  case when patient.id is null then 'orphan_patient' end as reject
from legacy.dispatch_patient as p
left join ids.patients as patient on patient.legacy_id = p.id
left join ids.doctors  as doctor  on doctor.legacy_id  = p.doctor_id
left join ids.offices  as office  on office.legacy_id  = p.office_id;
