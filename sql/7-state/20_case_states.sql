-- Case states: one per dispatch_state, the same flags seen from the case.
-- current_state and previous_state are not supplied: "treatment active" and "case closed" for 11
-- and 12 would be guesses. reason, notes and automated have no source.
-- Tolerance: 199 of 4,751 states (4.2 %) are known to belong to removed orders.
--
-- target     public.case_states
-- source     dispatch_state
-- adopt      legacy_state_id
-- tolerance  5 %
-- reject     orphan_order  its order is not in the source
-- reject     orphan_case   the case of its order's patient is not stored

create view transform.case_states as
select
  s.id            as legacy_key,
  s.id::integer   as legacy_state_id,
  patient_case.id as case_id,
  actor.id        as changed_by_id,
  -- the raw code, since its meaning is unknown
  s.status        as status_code,
  s.changed_at    as changed_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'status',         s.status,
    'on',             s."on",
    'actor_id',       s.actor_id,
    'instruction_id', s.instruction_id
  )))             as metadata,
  case when s.actor_id is not null and actor.id is null then 'profiles' end as missing,
  case
    when i.id is null then 'orphan_order'
    when patient_case.id is null then 'orphan_case'
  end             as reject
from legacy.dispatch_state as s
left join legacy.dispatch_instruction as i            on i.id                   = s.instruction_id
left join ids.cases                   as patient_case on patient_case.legacy_id = i.patient_id
left join ids.profiles                as actor        on actor.legacy_id        = s.actor_id;
