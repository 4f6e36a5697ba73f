-- Where two ways lead from one row to another, they lead to the same row.
-- Compared are entities that the same run completed; ways over a row that is gone from the source are
-- left out, since only the other one has been brought up to date.
--
-- severity  error
-- edits     explain

with disagreements as materialized (
  select
    'order_cases: patient of order and case' as two_ways,
    l.id,
    array[l.id, o.id, c.id, o.patient_id, c.patient_id] as way
  from public.order_cases as l
  join public.orders      as o on o.id = l.order_id
  join public.cases       as c on c.id = l.case_id
  where o.patient_id is distinct from c.patient_id
    and migration.completed_together('orders', 'cases', 'order_cases')
  union all
  select
    'payments: patient of bill and order',
    p.id,
    array[p.id, o.id, p.patient_id, o.patient_id]
  from public.payments as p
  join public.orders   as o on o.id = p.order_id
  where p.patient_id is distinct from o.patient_id
    and p.legacy_payment_id is not null
    and migration.completed_together('orders', 'payments')
  union all
  select
    'case_files: case of file and of its order',
    f.id,
    array[f.id, o.id, f.file_id, f.case_id, o.order_id]
  from public.case_files  as f
  join public.order_files as o on o.file_id = f.file_id
  left join public.order_cases as l on l.order_id = o.order_id and l.case_id = f.case_id
  where l.id is null
    and migration.completed_together('order_cases', 'order_files', 'case_files')
  union all
  select
    'treatment_plans: patient of plan and order',
    t.id,
    array[t.id, o.id, p.id, t.patient_id]
  from public.treatment_plans as t
  join public.orders          as o on o.id = t.order_id
  join public.patients        as p on p.id = o.patient_id
  where t.patient_id is distinct from p.profile_id
    and t.legacy_plan_id is not null
    and migration.completed_together('patients', 'orders', 'treatment_plans')
  union all
  select
    'treatment_plans: doctor of plan and order',
    t.id,
    array[t.id, o.id, d.id, t.doctor_id]
  from public.treatment_plans as t
  join public.orders          as o on o.id = t.order_id
  join public.doctors         as d on d.id = o.doctor_id
  where t.doctor_id is distinct from d.profile_id
    and t.legacy_plan_id is not null
    and migration.completed_together('doctors', 'orders', 'treatment_plans')
  union all
  select
    'patient_events: person of event and of its patient',
    e.id,
    array[e.id, p.id, e.patient_id, p.profile_id]
  from public.patient_events as e
  join public.patients       as p
    on p.legacy_patient_id::text = e.metadata -> 'legacy' ->> 'patient_id'
  where e.patient_id is distinct from p.profile_id
    and e.legacy_event_id is not null
    and migration.completed_together('patients', 'patient_events')
  union all
  select
    'case_messages: case of message and of the plan it is about',
    m.id,
    array[m.id, d.id, t.id, o.id, c.id, c.patient_id, o.patient_id]
  from public.case_messages         as m
  join public.treatment_discussions as d on d.legacy_comment_id = m.legacy_message_id
  join public.treatment_plans       as t on t.id = d.treatment_id
  join public.orders                as o on o.id = t.order_id
  join public.cases                 as c on c.id = m.case_id
  where c.patient_id is distinct from o.patient_id
    and migration.completed_together(
      'orders', 'cases', 'treatment_plans', 'treatment_discussions', 'case_messages')
  union all
  select
    'case_states: case of state and of its order',
    s.id,
    array[s.id, h.id, o.id, c.id, c.patient_id, o.patient_id]
  from public.case_states  as s
  join public.order_states as h on h.legacy_state_id = s.legacy_state_id
  join public.orders       as o on o.id = h.order_id
  join public.cases        as c on c.id = s.case_id
  where c.patient_id is distinct from o.patient_id
    and migration.completed_together('orders', 'cases', 'order_states', 'case_states')
  union all
  select
    'doctors: primary office of doctor and of the link to it',
    d.id,
    array[d.id, l.id, d.primary_office_id, l.office_id]
  from public.doctors        as d
  join public.doctor_offices as l on l.doctor_id = d.profile_id and l.is_primary
  where d.primary_office_id is distinct from l.office_id
    and d.legacy_user_id is not null
    and migration.completed_together('doctors', 'doctor_offices')
  union all
  select
    'customer_feedback: order of comment and of its plan',
    f.id,
    array[f.id, d.id, t.id, f.regarding_order_id, t.order_id]
  from public.customer_feedback     as f
  join public.treatment_discussions as d on d.legacy_comment_id = f.legacy_record_id
  join public.treatment_plans       as t on t.id = d.treatment_id
  where f.legacy_table = 'dispatch_comment'
    and f.regarding_order_id is distinct from t.order_id
    and migration.completed_together(
      'treatment_plans', 'treatment_discussions', 'customer_feedback_comments')
),
-- of these one of the rows is gone, wherever it stands on the way
over_gone as (
  select distinct d.two_ways, d.way
  from disagreements as d
  cross join unnest(d.way) as w (id)
  join migration.gone as g on g.id = w.id
)
select
  d.two_ways,
  count(*)        as row_count,
  min(d.id::text) as first_id
from disagreements as d
where not exists (
  select from over_gone as o where o.two_ways = d.two_ways and o.way = d.way)
group by d.two_ways
order by 1;
