-- Customer feedback, records: one per dispatch_record, those by members of group Doctor.
-- Every one of these rows is in messages as well.
--
-- target   public.customer_feedback
-- source   dispatch_record
-- adopt    legacy_table, legacy_record_id
-- deletes  remove
-- commit   batch
-- filter   not_by_doctor  its sender is not in group Doctor
-- filter   short_text     its text has at most five characters

create view transform.customer_feedback_records as
select
  r.id                                     as legacy_key,
  'dispatch_record'::text                  as legacy_table,
  r.id::integer                            as legacy_record_id,
  author.id                                as source_id,
  patient.id                               as regarding_patient_id,
  -- no guessing by key words
  'general_feedback'::public.feedback_type as feedback_type,
  'doctor'::text                           as source_type,
  -- the source has no title: the first line stands for it
  left(
    split_part(btrim(r.text, E' \t\r\n'), E'\n', 1), 100
  )                                        as subject,
  r.text                                   as description,
  r.created_at                             as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'type',           r.type,
    'author_id',      r.author_id,
    'target_type_id', r.target_type_id,
    'target_id',      r.target_id
  )))                                      as metadata,
  case
    when doctor_group.user_id is null then 'not_by_doctor'
    when length(btrim(r.text, E' \t\r\n')) <= 5 then 'short_text'
  end                                      as filter,
  nullif(concat_ws(',',
    case
      when target.is_patient and r.target_id is not null and patient.id is null then 'patients'
    end,
    case when r.author_id is not null and author.id is null then 'profiles' end
  ), '')                                   as missing
from legacy.dispatch_record as r
left join (
  select g.user_id
  from legacy.auth_user_groups as g
  where g.group_id = 2
  group by g.user_id
) as doctor_group on doctor_group.user_id = r.author_id
left join legacy.django_content_type as content_type on content_type.id = r.target_type_id
-- 11 is the patient, also where the row of the content type is gone
cross join lateral (
  select
    (content_type.app_label = 'dispatch' and content_type.model = 'patient')
    or (content_type.id is null and r.target_type_id = 11) as is_patient
) as target
left join ids.patients as patient on target.is_patient and patient.legacy_id = r.target_id
left join ids.profiles as author on author.legacy_id = r.author_id;
