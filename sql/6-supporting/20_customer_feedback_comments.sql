-- Customer feedback, comments: one per dispatch_comment, those by members of group Doctor.
-- severity, resolution and follow-up have no source. Rows already present carry no legacy_table
-- and cannot be recognised: whether legacy_record_id means a comment or a record is open.
--
-- target   public.customer_feedback
-- source   dispatch_comment
-- adopt    legacy_table, legacy_record_id
-- deletes  remove
-- filter   not_by_doctor  its author is not in group Doctor
-- filter   short_text     its text has at most five characters

create view transform.customer_feedback_comments as
select
  c.id                                     as legacy_key,
  'dispatch_comment'::text                 as legacy_table,
  c.id::integer                            as legacy_record_id,
  author.id                                as source_id,
  o.id                                     as regarding_order_id,
  patient.id                               as regarding_patient_id,
  -- no guessing by key words
  'general_feedback'::public.feedback_type as feedback_type,
  'doctor'::text                           as source_type,
  -- the source has no title: the first line stands for it
  left(
    split_part(btrim(c.text, E' \t\r\n'), E'\n', 1), 100
  )                                        as subject,
  c.text                                   as description,
  c.created_at                             as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'author_id', c.author_id,
    'plan_id',   c.plan_id
  )))                                      as metadata,
  case
    when doctor_group.user_id is null then 'not_by_doctor'
    when length(btrim(coalesce(c.text, ''), E' \t\r\n')) <= 5 then 'short_text'
  end                                      as filter,
  nullif(concat_ws(',',
    case when plan.instruction_id is not null and o.id is null then 'orders' end,
    case when i.patient_id is not null and patient.id is null then 'patients' end,
    case when c.author_id is not null and author.id is null then 'profiles' end
  ), '')                                   as missing
from legacy.dispatch_comment as c
left join (
  select g.user_id
  from legacy.auth_user_groups as g
  where g.group_id = 2
  group by g.user_id
) as doctor_group on doctor_group.user_id = c.author_id
left join legacy.dispatch_plan        as plan    on plan.id           = c.plan_id
left join legacy.dispatch_instruction as i       on i.id              = plan.instruction_id
left join ids.orders                  as o       on o.legacy_id       = plan.instruction_id
left join ids.patients                as patient on patient.legacy_id = i.patient_id
left join ids.profiles                as author  on author.legacy_id  = c.author_id;
