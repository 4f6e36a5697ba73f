-- Order cases: one per dispatch_instruction; the case of an order is the case of its patient.
-- orphan_order means here that the order itself was rejected.
--
-- target   public.order_cases
-- source   dispatch_instruction
-- adopt    order_id, case_id
-- deletes  remove
-- reject   orphan_order  the order itself is not stored
-- reject   orphan_case   the case of its patient is not stored

create view transform.order_cases as
select
  i.id              as legacy_key,
  clinical_order.id as order_id,
  patient_case.id   as case_id,
  case
    when clinical_order.id is null then 'orphan_order'
    when patient_case.id is null then 'orphan_case'
  end               as reject
from legacy.dispatch_instruction as i
left join ids.orders as clinical_order on clinical_order.legacy_id = i.id
left join ids.cases  as patient_case   on patient_case.legacy_id   = i.patient_id;
