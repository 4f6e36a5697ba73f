-- Case files: one per dispatch_file, through order and patient; without an order: filtered.
-- file_purpose is not supplied: the type codes are not understood; they are in files.metadata.
--
-- target   public.case_files
-- source   dispatch_file
-- adopt    case_id, file_id
-- deletes  remove
-- commit   batch
-- filter   no_order      the file names no order
-- reject   orphan_order  its order is not in the source
-- reject   orphan_case   the case of its order's patient is not stored
-- reject   orphan_file   the file itself is not stored

create view transform.case_files as
select
  f.id            as legacy_key,
  patient_case.id as case_id,
  file.id         as file_id,
  f.created_at    as created_at,
  case when f.instruction_id is null then 'no_order' end as filter,
  case
    when i.id is null then 'orphan_order'
    when patient_case.id is null then 'orphan_case'
    when file.id is null then 'orphan_file'
  end             as reject
from legacy.dispatch_file as f
left join legacy.dispatch_instruction as i            on i.id                   = f.instruction_id
left join ids.cases                   as patient_case on patient_case.legacy_id = i.patient_id
left join ids.files                   as file         on file.legacy_id         = f.id;
