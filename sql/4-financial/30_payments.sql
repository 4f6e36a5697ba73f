-- Payments: one per dispatch_payment, the bills.
-- payment_method has no source ("card" or "other" would be a guess); currency keeps its default
-- USD, as all prices of the source are dollars. In rows already present amount is the billed
-- price for some and the paid one for others; adopting makes it the billed price everywhere.
--
-- target   public.payments
-- source   dispatch_payment
-- adopt    legacy_payment_id
-- mapping  payment

create view transform.payments as
select
  p.id                             as legacy_key,
  p.id::integer                    as legacy_payment_id,
  -- bills of shop orders and of removed orders have no order, yet they are money
  o.id                             as order_id,
  patient.id                       as patient_id,
  doctor.id                        as doctor_id,
  office.id                        as office_id,
  -- billed and paid are two statements, each in its own column
  p.total_price                    as amount,
  p.paid_price                     as paid_amount,
  p.subtotal_price                 as subtotal_amount,
  -- percent to fraction, as in offices
  case
    when p.tax_rate > 1 then round(p.tax_rate / 100, 6)
    else p.tax_rate
  end                              as tax_rate,
  p.tax_value                      as tax_amount,
  p.used_credit                    as credit_amount,
  p.additional_price               as additional_amount,
  p.custom_price                   as custom_amount,
  p.free                           as is_free,
  case
    when btrim(p.installments) <> ''
      then coalesce(parsed.installments, jsonb_build_object('raw', p.installments))
  end                              as installments,
  (case
    when p.canceled then 'cancelled'
    when p.paid or p.free then 'completed'
    else 'pending'
  end)::public.payment_status      as status,
  -- the same value once more: the target has two columns for it
  (case
    when p.canceled then 'cancelled'
    when p.paid or p.free then 'completed'
    else 'pending'
  end)::public.payment_status_enum as payment_status,
  p.made_at                        as processed_at,
  p.made_at                        as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'instruction_id', p.instruction_id,
    'order_id',       p.order_id,
    'doctor_id',      p.doctor_id,
    'office_id',      p.office_id,
    'paid',           p.paid,
    'canceled',       p.canceled,
    'free',           p.free,
    'netsuite',       p.netsuite,
    'tax_rate',       p.tax_rate,
    'invalid_json', case
      when btrim(p.installments) <> '' and parsed.installments is null then 'installments'
    end
  )))                              as metadata,
  nullif(concat_ws(',',
    case when p.instruction_id is not null and o.id is null then 'orders' end,
    case when i.patient_id is not null and patient.id is null then 'patients' end,
    case when p.doctor_id is not null and doctor.id is null then 'doctors' end,
    case when p.office_id is not null and office.id is null then 'offices' end
  ), '')                           as missing
from legacy.dispatch_payment as p
left join legacy.dispatch_instruction as i       on i.id              = p.instruction_id
left join ids.orders                  as o       on o.legacy_id       = p.instruction_id
left join ids.patients                as patient on patient.legacy_id = i.patient_id
left join ids.doctors                 as doctor  on doctor.legacy_id  = p.doctor_id
left join ids.offices                 as office  on office.legacy_id  = p.office_id
cross join lateral (
  select migration.try_jsonb(p.installments) as installments
  offset 0
) as parsed;
