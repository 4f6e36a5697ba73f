-- Orders: one per dispatch_instruction, deleted ones included.
-- Doctor and office are those the patient has NOW: the source keeps no others. approved_at,
-- shipped_at and deleted_at have no source; the last change is none of them.
--
-- target   public.orders
-- source   dispatch_instruction
-- adopt    legacy_instruction_id
-- mapping  order
-- reject   orphan_patient  its patient is not stored
-- reject   unknown_course  its course is none of 1, 2, 3, 4, 7 and 8
-- reject   unknown_status  its status is not between 0 and 7

create view transform.orders as
select
  i.id                                as legacy_key,
  i.id::integer                       as legacy_instruction_id,
  patient.id                          as patient_id,
  doctor.id                           as doctor_id,
  office.id                           as office_id,
  -- the suffix of the PATIENT; the order's own is in suffix
  concat(btrim(p.suffix), '-', i.id)  as order_number,
  (case i.course_id
    when 1 then 'main'
    when 2 then 'refinement'
    when 3 then 'replacement'
    when 4 then 'any'
    when 7 then 'invoice'
    when 8 then 'merchandise'
    else null
  end)::public.course_type            as course_type,
  -- 3, 6 and 7 were never seen; they follow from the order of the enum
  (case i.status
    when 0 then 'no_product'
    when 1 then 'submitted'
    when 2 then 'approved'
    when 3 then 'in_production'
    when 4 then 'shipped'
    when 5 then 'add_plan'
    when 6 then 'on_hold'
    when 7 then 'cancelled'
    else null
  end)::public.order_status           as status,
  btrim(i.suffix)                     as suffix,
  -- nearly always NULL: the money is in payments
  i.price                             as amount,
  i.notes                             as notes,
  i.complaint                         as complaint,
  case
    when btrim(i.exports) <> ''
      then coalesce(parsed.exports, jsonb_build_object('raw', i.exports))
  end                                 as exports,
  i.deleted                           as deleted,
  i.submitted_at                      as submitted_at,
  -- the source has no creation time: the earliest one recorded in the row
  least(i.submitted_at, i.updated_at) as created_at,
  i.updated_at                        as updated_at,
  -- the clinical prescription has no columns
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'patient_id',        i.patient_id,
    'doctor_id',         p.doctor_id,
    'office_id',         p.office_id,
    'course_id',         i.course_id,
    'status',            i.status,
    'order',             i."order",
    'model',             i.model,
    'scanner',           i.scanner,
    'scanner_notes',     i.scanner_notes,
    'cbct',              i.cbct,
    'conditions',        i.conditions,
    'objective',         i.objective,
    'accept_extraction', i.accept_extraction,
    'comprehensive',     i.comprehensive,
    'upper_jaw_id',      i.upper_jaw_id,
    'lower_jaw_id',      i.lower_jaw_id,
    'invalid_json', case when btrim(i.exports) <> '' and parsed.exports is null then 'exports' end
  )))                                 as metadata,
  nullif(concat_ws(',',
    case when p.doctor_id is not null and doctor.id is null then 'doctors' end,
    case when p.office_id is not null and office.id is null then 'offices' end
  ), '')                              as missing,
  case
    when patient.id is null then 'orphan_patient'
    when i.course_id not in (1, 2, 3, 4, 7, 8) then 'unknown_course'
    when i.status not between 0 and 7 then 'unknown_status'
  end                                 as reject
from legacy.dispatch_instruction as i
left join legacy.dispatch_patient as p       on p.id              = i.patient_id
left join ids.patients            as patient on patient.legacy_id = i.patient_id
left join ids.doctors             as doctor  on doctor.legacy_id  = p.doctor_id
left join ids.offices             as office  on office.legacy_id  = p.office_id
cross join lateral (
  select migration.try_jsonb(i.exports) as exports
  offset 0
) as parsed;
