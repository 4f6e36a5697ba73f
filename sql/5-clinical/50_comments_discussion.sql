-- Comments, discussion: one per dispatch_comment, the texts of plan comments.
-- comments_note fills the same table. updated_at is not supplied: the table stamps it itself.
--
-- target   public.comments
-- source   dispatch_comment
-- adopt    legacy_table, legacy_id
-- mapping  comment

create view transform.comments_discussion as
select
  c.id                                             as legacy_key,
  'dispatch_comment'::text                         as legacy_table,
  c.id::integer                                    as legacy_id,
  author.id                                        as author_id,
  'treatment_discussion'::public.comment_type_enum as comment_type,
  coalesce(c.text, '')                             as content,
  c.created_at                                     as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'author_id', c.author_id,
    'plan_id',   c.plan_id
  )))                                              as metadata,
  case when c.author_id is not null and author.id is null then 'profiles' end as missing
from legacy.dispatch_comment as c
left join ids.profiles as author on author.legacy_id = c.author_id;
