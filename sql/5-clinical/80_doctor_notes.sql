-- Doctor notes: one per dispatch_note, from note to doctor.
--
-- target   public.doctor_notes
-- source   dispatch_note
-- adopt    legacy_note_id
-- mapping  doctor_note
-- reject   orphan_doctor  the account of its doctor is not stored

create view transform.doctor_notes as
select
  n.id          as legacy_key,
  n.id::integer as legacy_note_id,
  -- a profile, not a row of doctors
  doctor.id     as doctor_id,
  author.id     as author_id,
  comment.id    as comment_id,
  -- the table is read in both shapes: with its own text and through comments
  n.text        as text,
  n.created_at  as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'author_id', n.author_id,
    'doctor_id', n.doctor_id
  )))           as metadata,
  nullif(concat_ws(',',
    case when n.author_id is not null and author.id is null then 'profiles' end,
    case when comment.id is null then 'comments_note' end
  ), '')        as missing,
  case when doctor.id is null then 'orphan_doctor' end as reject
from legacy.dispatch_note as n
left join ids.profiles      as doctor  on doctor.legacy_id  = n.doctor_id
left join ids.profiles      as author  on author.legacy_id  = n.author_id
left join ids.comments_note as comment on comment.legacy_id = n.id;
