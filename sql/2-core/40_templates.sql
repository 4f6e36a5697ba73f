-- Templates: one per dispatch_template, the nodes of the production workflow.
--
-- target   public.templates
-- source   dispatch_template
-- adopt    legacy_template_id
-- mapping  template

create view transform.templates as
select
  t.id                 as legacy_key,
  t.id::integer        as legacy_template_id,
  category.id          as category_id,
  coalesce(
    nullif(btrim(t.task_name), ''),
    nullif(btrim(t.text_name), ''),
    nullif(btrim(t.action_name), ''),
    ''
  )                    as name,
  btrim(t.action_name) as action_name,
  -- the source knows no inactive templates
  true                 as is_active,
  -- status is the order status a task triggers, no "active" flag; the unit of duration is
  -- unknown, so it does not go to a column that says minutes
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'task_name',   t.task_name,
    'text_name',   t.text_name,
    'function',    t.function,
    'status',      t.status,
    'duration',    t.duration,
    'predefined',  t.predefined,
    'read_only',   t.read_only,
    'extensions',  t.extensions,
    'alerts',      to_jsonb(t.alerts),
    'separate',    t.separate,
    'course_id',   t.course_id,
    'category_id', t.category_id
  )))                  as metadata,
  case when t.category_id is not null and category.id is null then 'categories' end as missing
from legacy.dispatch_template as t
left join ids.categories as category on category.legacy_id = t.category_id;
