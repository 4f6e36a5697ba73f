-- Tasks: one per dispatch_task, the workflow of the orders; the largest business table.
-- order_id of the source is a SHOP order and is never looked up as an order: such a task has no
-- instruction_id and is rejected as orphan_order. The table has no created_at or updated_at.
--
-- target   public.tasks
-- source   dispatch_task
-- adopt    legacy_task_id
-- mapping  task
-- commit   batch
-- reject   orphan_order  it names no order, or one that is not stored

create view transform.tasks as
select
  t.id                     as legacy_key,
  t.id::integer            as legacy_task_id,
  clinical_order.id        as order_id,
  template.id              as template_id,
  -- who did it: the source knows no assignment
  actor.id                 as assigned_to,
  -- the real name, as in templates
  coalesce(
    nullif(btrim(tp.task_name), ''),
    nullif(btrim(tp.text_name), ''),
    nullif(btrim(tp.action_name), ''),
    ''
  )                        as template_name,
  btrim(tp.action_name)    as action_name,
  t.text                   as description,
  (case
    when t.checked then 'completed'
    when t.done_at is not null then 'in_progress'
    else 'pending'
  end)::public.task_status as status,
  t.jaw                    as jaw_specification,
  t.checked                as checked,
  t.done_at                as completed_at,
  -- unknown; the default (the time of the load) would be a lie
  null::timestamptz        as assigned_at,
  -- plan and file stay raw: plans are loaded two phases later
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'instruction_id', t.instruction_id,
    'template_id',    t.template_id,
    'plan_id',        t.plan_id,
    'file_id',        t.file_id,
    'actor_id',       t.actor_id,
    'order_id',       t.order_id
  )))                      as metadata,
  nullif(concat_ws(',',
    case when t.template_id is not null and template.id is null then 'templates' end,
    case when t.actor_id is not null and actor.id is null then 'profiles' end
  ), '')                   as missing,
  case when clinical_order.id is null then 'orphan_order' end as reject
from legacy.dispatch_task as t
left join legacy.dispatch_template as tp             on tp.id                    = t.template_id
left join ids.orders               as clinical_order on clinical_order.legacy_id = t.instruction_id
left join ids.templates            as template       on template.legacy_id       = t.template_id
left join ids.profiles             as actor          on actor.legacy_id          = t.actor_id;
