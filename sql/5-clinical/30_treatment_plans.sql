-- Treatment plans: one per dispatch_plan, the versions of a plan.
-- The source has no creation time; treatment_type would only repeat is_original. legacy_plan_id
-- is not unique in the target: the oldest row is adopted, the others are reported.
--
-- target   public.treatment_plans
-- source   dispatch_plan
-- adopt    legacy_plan_id
-- mapping  treatment_plan
-- commit   batch
-- reject   orphan_project  it names no project, or one that is not stored

create view transform.treatment_plans as
select
  p.id                     as legacy_key,
  p.id::integer            as legacy_plan_id,
  p.instruction_id         as legacy_instruction_id,
  project.id               as project_id,
  o.id                     as order_id,
  -- profiles here, neither patients nor doctors
  patient.id               as patient_id,
  doctor.id                as doctor_id,
  p.number                 as plan_number,
  -- the column takes 100 characters; the full text is in metadata when it is longer
  left(btrim(p.name), 100) as plan_name,
  p.notes                  as plan_notes,
  p.original               as is_original,
  -- not recorded; the default 0 would be a statement
  null::integer            as revision_count,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'instruction_id', p.instruction_id,
    'project_id',     p.project_id,
    'name',           case when length(btrim(p.name)) > 100 then p.name end
  )))                      as metadata,
  nullif(concat_ws(',',
    case when p.instruction_id is not null and o.id is null then 'orders' end,
    case
      when (pa.user_id is not null and patient.id is null)
        or (pa.doctor_id is not null and doctor.id is null)
        then 'profiles'
    end
  ), '')                   as missing,
  case when project.id is null then 'orphan_project' end as reject
from legacy.dispatch_plan as p
left join legacy.dispatch_instruction as i       on i.id              = p.instruction_id
left join legacy.dispatch_patient     as pa      on pa.id             = i.patient_id
left join ids.projects                as project on project.legacy_id = p.project_id
left join ids.orders                  as o       on o.legacy_id       = p.instruction_id
left join ids.profiles                as patient on patient.legacy_id = pa.user_id
left join ids.profiles                as doctor  on doctor.legacy_id  = pa.doctor_id;
