-- References without a foreign key lead to a row too.
-- The application declares no foreign key for them; technicians.user_id and
-- treatment_discussions.thread_id refer to no table. Rows of the application are looked at, too.
--
-- severity  error
-- edits     explain

select
  'messages.recipient_id' as reference,
  r.recipient_type        as kind,
  count(*)                as row_count,
  min(r.id::text)         as first_id
from public.messages as r
where r.recipient_id is not null
  and migration.is_checked('messages')
  and not exists (
    select from public.patients as a
    where a.id = r.recipient_id and r.recipient_type is distinct from 'user')
  and not exists (
    select from public.profiles as a
    where a.id = r.recipient_id and r.recipient_type is distinct from 'patient')
group by r.recipient_type
union all
select 'treatment_discussions.treatment_id', null, count(*), min(r.id::text)
from public.treatment_discussions as r
where migration.is_checked('treatment_discussions')
  and not exists (select from public.treatment_plans as a where a.id = r.treatment_id)
having count(*) > 0
union all
select 'payments.patient_id', null, count(*), min(r.id::text)
from public.payments as r
where r.patient_id is not null
  and migration.is_checked('payments')
  and not exists (select from public.patients as a where a.id = r.patient_id)
having count(*) > 0
union all
-- rows of the application may name other tables; of ours every one is listed here
select 'external_links.internal_entity_id', r.internal_entity_type, count(*), min(r.id::text)
from public.external_links as r
left join (
  select 'patients' as kind, a.id from public.patients as a
  union all
  select 'orders', a.id from public.orders as a
  union all
  select 'offices', a.id from public.offices as a
  union all
  select 'payments', a.id from public.payments as a
  union all
  select 'products', a.id from public.products as a
  union all
  select 'profiles', a.id from public.profiles as a
) as item on item.kind = r.internal_entity_type and item.id = r.internal_entity_id
where item.id is null
  and migration.is_checked('external_links')
  and (r.legacy_link_id is not null or r.internal_entity_type in (
    'patients', 'orders', 'offices', 'payments', 'products', 'profiles'))
group by r.internal_entity_type;
