-- Team communications: one per dispatch_note, internal notes as team communication.
-- Tolerance: 180 of 963 notes (19 %) are known to have no author, whom the target requires.
-- They are not lost: comments and doctor_notes hold them, whose author may be NULL.
-- Nothing is adopted: legacy_record_id of rows already present stems from dispatch_record.
--
-- target     public.team_communications
-- source     dispatch_note
-- adopt      none
-- tolerance  20 %
-- reject     no_author      nobody is named as its author
-- reject     orphan_author  its author's account is not stored

create view transform.team_communications as
select
  n.id                                            as legacy_key,
  n.id::integer                                   as legacy_note_id,
  author.id                                       as author_id,
  -- the most neutral value
  'status_update'::public.team_communication_type as communication_type,
  coalesce(n.text, '')                            as body,
  -- the narrower of the two known values
  'team'::text                                    as visibility,
  n.created_at                                    as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'kind',      'doctor_note'::text,
    'doctor_id', n.doctor_id,
    'author_id', n.author_id
  )))                                             as metadata,
  case
    when n.author_id is null then 'no_author'
    when author.id is null then 'orphan_author'
  end                                             as reject
from legacy.dispatch_note as n
left join ids.profiles as author on author.legacy_id = n.author_id;
