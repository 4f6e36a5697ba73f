-- Comments, note: one per dispatch_note, the texts of doctor notes.
-- Free text about identifiable doctors: personal data. One row already present lacks
-- legacy_table and will not be recognised.
--
-- target   public.comments
-- source   dispatch_note
-- adopt    legacy_table, legacy_id

create view transform.comments_note as
select
  n.id                                    as legacy_key,
  'dispatch_note'::text                   as legacy_table,
  n.id::integer                           as legacy_id,
  author.id                               as author_id,
  'doctor_note'::public.comment_type_enum as comment_type,
  coalesce(n.text, '')                    as content,
  n.created_at                            as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'author_id', n.author_id,
    'doctor_id', n.doctor_id
  )))                                     as metadata,
  case when n.author_id is not null and author.id is null then 'profiles' end as missing
from legacy.dispatch_note as n
left join ids.profiles as author on author.legacy_id = n.author_id;
