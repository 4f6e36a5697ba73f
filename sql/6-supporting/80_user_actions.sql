-- User actions: one per dispatch_action, the audit trail; no upper limit on the number of rows.
-- All columns of the source are assumed.
--
-- target   public.user_actions
-- source   dispatch_action
-- adopt    legacy_action_id
-- commit   batch

create view transform.user_actions as
select
  a.id          as legacy_key,
  a.id::integer as legacy_action_id,
  a.user_id     as legacy_user_id,
  actor.id      as user_id,
  a.action      as action,
  -- raw legacy ids go with the names of the models
  item.model    as item_type,
  a.item_id     as item_id,
  owner.model   as owner_type,
  a.owner_id    as owner_id,
  a.data        as action_data,
  a.date        as action_date,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'item_type_id',  a.item_type_id,
    'owner_type_id', a.owner_type_id
  )))           as metadata,
  case when a.user_id is not null and actor.id is null then 'profiles' end as missing
from legacy.dispatch_action as a
left join legacy.django_content_type as item  on item.id         = a.item_type_id
left join legacy.django_content_type as owner on owner.id        = a.owner_type_id
left join ids.profiles               as actor on actor.legacy_id = a.user_id;
