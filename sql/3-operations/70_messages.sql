-- Messages: one per dispatch_record, of all types, on patients and on users.
-- Visibility (public, group, roles of the record) has no column: do not show messages to
-- patients before that is settled. title and subject have no source: no canned text is made.
--
-- target   public.messages
-- source   dispatch_record
-- adopt    legacy_record_id
-- mapping  message
-- commit   batch

create view transform.messages as
select
  r.id                             as legacy_key,
  r.id::integer                    as legacy_record_id,
  author.id                        as sender_id,
  -- a patient or a profile; about 32 rows have an unknown target and stay without
  coalesce(patient.id, account.id) as recipient_id,
  -- likely readings, not proven: the raw code is kept
  case r.type
    when 3 then 'user_communication'
    when 5 then 'clinical_note'
    when 6 then 'patient_communication'
    when 8 then 'status_update'
    else 'general'
  end                              as message_type,
  r.text                           as content,
  -- patient, user, or the name of the model, cut to what the column takes
  left(target.kind, 50)            as recipient_type,
  r.created_at                     as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'type',           r.type,
    'target_type_id', r.target_type_id,
    'target_id',      r.target_id,
    'author_id',      r.author_id,
    'group_id',       r.group_id,
    'public',         r.public
  )))                              as metadata,
  nullif(concat_ws(',',
    case
      when target.kind = 'patient' and r.target_id is not null and patient.id is null
        then 'patients'
    end,
    case
      when (target.kind = 'user' and r.target_id is not null and account.id is null)
        or (r.author_id is not null and author.id is null)
        then 'profiles'
    end
  ), '')                           as missing
from legacy.dispatch_record as r
left join legacy.django_content_type as content_type on content_type.id = r.target_type_id
-- 11 is the patient and 58 stands for user accounts; no other id may be taken for granted
cross join lateral (
  select
    case
      when content_type.app_label = 'dispatch' and content_type.model = 'patient' then 'patient'
      when content_type.id is null and r.target_type_id = 11 then 'patient'
      when r.target_type_id = 58
        or (content_type.app_label = 'auth' and content_type.model = 'user')
        then 'user'
      else coalesce(content_type.model, 'unknown')
    end as kind
) as target
left join ids.patients as patient on target.kind = 'patient' and patient.legacy_id = r.target_id
left join ids.profiles as account on target.kind = 'user' and account.legacy_id = r.target_id
left join ids.profiles as author on author.legacy_id = r.author_id;
