-- Order states: one per dispatch_state, the flag history of orders.
-- Only the codes 11 and 12 have been seen, both set and cleared. Calling them submitted, approved
-- or shipped would be a guess: when the owner says what they are, one line of each case changes.
-- Read whole: the preceding row of an order may lie in any range.
-- Tolerance: 199 of 4,751 states (4.2 %) are known to belong to removed orders.
--
-- target     public.order_states
-- source     dispatch_state
-- adopt      legacy_state_id
-- tolerance  5 %
-- read       whole
-- reject     orphan_order  its order is not stored

create view transform.order_states as
select
  s.id                      as legacy_key,
  s.id::integer             as legacy_state_id,
  clinical_order.id         as order_id,
  actor.id                  as actor_id,
  -- the code of the preceding row of the same order
  (case s.previous
    when 0 then 'no_product'
    when 1 then 'submitted'
    when 2 then 'approved'
    when 3 then 'in_production'
    when 4 then 'shipped'
    when 5 then 'add_plan'
    when 6 then 'on_hold'
    when 7 then 'cancelled'
    else null
  end)::public.order_status as from_status,
  -- NULL for 11 and 12: status_code keeps them
  (case s.status
    when 0 then 'no_product'
    when 1 then 'submitted'
    when 2 then 'approved'
    when 3 then 'in_production'
    when 4 then 'shipped'
    when 5 then 'add_plan'
    when 6 then 'on_hold'
    when 7 then 'cancelled'
    else null
  end)::public.order_status as to_status,
  -- without it every clearing of a flag would read as an entry
  s."on"                    as is_active,
  s.status                  as status_code,
  s.changed_at              as changed_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'status',         s.status,
    'on',             s."on",
    'actor_id',       s.actor_id,
    'instruction_id', s.instruction_id
  )))                       as metadata,
  case when s.actor_id is not null and actor.id is null then 'profiles' end as missing,
  case when clinical_order.id is null then 'orphan_order' end as reject
from (
  select
    d.id,
    d.status,
    d."on",
    d.changed_at,
    d.actor_id,
    d.instruction_id,
    lag(d.status) over (
      partition by d.instruction_id
      order by d.changed_at, d.id
    ) as previous
  from legacy.dispatch_state as d
) as s
left join ids.orders   as clinical_order on clinical_order.legacy_id = s.instruction_id
left join ids.profiles as actor          on actor.legacy_id          = s.actor_id;
