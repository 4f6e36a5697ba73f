-- Patients, doctors, offices: the current doctor and office of a patient, one per dispatch_patient.
-- Without a doctor there is nothing to link; such an office is in patients.assigned_office_id.
--
-- target   public.patients_doctors_offices
-- source   dispatch_patient
-- adopt    patient_id
-- deletes  remove
-- filter   no_doctor       the patient has no doctor
-- reject   orphan_patient  its patient is not stored
-- reject   orphan_doctor   its doctor is not stored

create view transform.patients_doctors_offices as
select
  p.id           as legacy_key,
  patient.id     as patient_id,
  doctor.id      as doctor_id,
  office.id      as office_id,
  p.submitted_at as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'doctor_id', p.doctor_id,
    'office_id', p.office_id
  )))            as metadata,
  case when p.doctor_id is null then 'no_doctor' end as filter,
  case when p.office_id is not null and office.id is null then 'offices' end as missing,
  case
    when patient.id is null then 'orphan_patient'
    when doctor.id is null then 'orphan_doctor'
  end            as reject
from legacy.dispatch_patient as p
left join ids.patients as patient on patient.legacy_id = p.id
left join ids.doctors  as doctor  on doctor.legacy_id  = p.doctor_id
left join ids.offices  as office  on office.legacy_id  = p.office_id;
