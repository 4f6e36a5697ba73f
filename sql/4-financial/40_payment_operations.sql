-- Payment operations: one per dispatch_operation, the card transactions of bills.
-- card_bin and card_last are sensitive: they go to their columns and nowhere else.
--
-- target   public.payment_operations
-- source   dispatch_operation
-- adopt    legacy_operation_id
-- reject   orphan_payment  its payment is not stored

create view transform.payment_operations as
select
  o.id            as legacy_key,
  o.id::integer   as legacy_operation_id,
  payment.id      as payment_id,
  case o.type
    when 1 then 'payment'
    when 2 then 'refund'
    else 'unknown'
  end             as operation_type,
  -- the sign of a refund stays as the source has it: do not negate
  o.price         as amount,
  o.sq_order_id   as square_order_id,
  o.sq_payment_id as square_payment_id,
  o.sq_refund_id  as square_refund_id,
  o.card_brand    as card_brand,
  o.card_bin      as card_bin,
  o.card_last     as card_last_four,
  o.office_card   as is_office_card,
  o.attempts      as attempt_count,
  o.made_at       as processed_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'type',       o.type,
    'payment_id', o.payment_id
  )))             as metadata,
  case when payment.id is null then 'orphan_payment' end as reject
from legacy.dispatch_operation as o
left join ids.payments as payment on payment.legacy_id = o.payment_id;
