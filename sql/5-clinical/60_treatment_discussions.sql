-- Treatment discussions: one per dispatch_comment, from comment to treatment plan.
-- The text is in comments: content stays empty here. is_visible_to_patient has no source and is
-- not supplied: do not default it to true.
--
-- target   public.treatment_discussions
-- source   dispatch_comment
-- adopt    legacy_comment_id
-- reject   orphan_plan  its plan is not stored

create view transform.treatment_discussions as
select
  c.id          as legacy_key,
  c.id::integer as legacy_comment_id,
  plan.id       as treatment_id,
  comment.id    as comment_id,
  project.id    as project_id,
  author.id     as author_id,
  c.created_at  as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'plan_id',   c.plan_id,
    'author_id', c.author_id
  )))           as metadata,
  nullif(concat_ws(',',
    case when comment.id is null then 'comments_discussion' end,
    case when source_plan.project_id is not null and project.id is null then 'projects' end,
    case when c.author_id is not null and author.id is null then 'profiles' end
  ), '')        as missing,
  case when plan.id is null then 'orphan_plan' end as reject
from legacy.dispatch_comment as c
left join legacy.dispatch_plan    as source_plan on source_plan.id    = c.plan_id
left join ids.treatment_plans     as plan        on plan.legacy_id    = c.plan_id
left join ids.comments_discussion as comment     on comment.legacy_id = c.id
left join ids.projects            as project     on project.legacy_id = source_plan.project_id
left join ids.profiles            as author      on author.legacy_id  = c.author_id;
