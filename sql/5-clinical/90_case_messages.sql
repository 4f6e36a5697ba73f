-- Case messages: one per dispatch_comment, the plan comments seen from the case.
-- The same comments are in comments and treatment_discussions by decision: totals must not be
-- added up. legacy_record_id belongs to dispatch_record and is not supplied. Rows already present
-- are stored two or three times: the oldest is adopted, the others are reported.
--
-- target   public.case_messages
-- source   dispatch_comment
-- adopt    legacy_message_id
-- reject   orphan_plan   its plan is not in the source
-- reject   orphan_order  the order of its plan is not in the source
-- reject   orphan_case   the case of its plan's patient is not stored

create view transform.case_messages as
select
  c.id                                      as legacy_key,
  c.id::integer                             as legacy_message_id,
  patient_case.id                           as case_id,
  author.id                                 as sender_id,
  -- one neutral type: no guessing by key words
  'clinical_note'::public.case_message_type as message_type,
  coalesce(c.text, '')                      as content,
  -- comments are not deleted in the source
  false                                     as deleted,
  c.created_at                              as sent_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'author_id',      c.author_id,
    'plan_id',        c.plan_id,
    'instruction_id', plan.instruction_id
  )))                                       as metadata,
  case when c.author_id is not null and author.id is null then 'profiles' end as missing,
  case
    when plan.id is null then 'orphan_plan'
    when i.id is null then 'orphan_order'
    when patient_case.id is null then 'orphan_case'
  end                                       as reject
from legacy.dispatch_comment as c
left join legacy.dispatch_plan        as plan         on plan.id = c.plan_id
left join legacy.dispatch_instruction as i            on i.id = plan.instruction_id
left join ids.cases                   as patient_case on patient_case.legacy_id = i.patient_id
left join ids.profiles                as author       on author.legacy_id = c.author_id;
