-- Patient events: one per dispatch_event; none is derived from orders, plans or messages.
-- The names of the source columns are assumed. In rows already present, values of
-- legacy_event_id from 1,000,000 on are known to belong to invented events.
--
-- target   public.patient_events
-- source   dispatch_event
-- adopt    legacy_event_id
-- reject   orphan_patient  its patient is not in the source, or the patient's account is not stored

create view transform.patient_events as
select
  e.id           as legacy_key,
  e.id::integer  as legacy_event_id,
  -- the person: the key leads to profiles, not to the row of the patient
  person.id      as patient_id,
  -- the source has no type
  'event'::text  as event_type,
  e.text         as description,
  case
    when e.done then 'completed'
    else 'pending'
  end            as status,
  -- a day, not an instant: scheduled_at is not supplied
  e.date         as event_date,
  e.done         as is_completed,
  e.completed_at as completed_at,
  e.created_at   as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'patient_id', e.patient_id
  )))            as metadata,
  case when person.id is null then 'orphan_patient' end as reject
from legacy.dispatch_event as e
left join legacy.dispatch_patient as patient on patient.id       = e.patient_id
left join ids.profiles            as person  on person.legacy_id = patient.user_id;
