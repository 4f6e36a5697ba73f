-- Payment items: one per dispatch_ware, the lines of a bill.
-- All columns of dispatch_ware are assumed: check them against the live table first. The target
-- table ware has no room for price, quantity and bill; it is not filled.
--
-- target   public.payment_items
-- source   dispatch_ware
-- adopt    legacy_ware_id
-- reject   orphan_payment  its payment is not stored

create view transform.payment_items as
select
  w.id               as legacy_key,
  w.id::integer      as legacy_ware_id,
  payment.id         as payment_id,
  product.id         as product_id,
  purchase.id        as purchase_id,
  btrim(w.name)      as name,
  w.quantity         as quantity,
  w.base_price       as unit_price,
  w.total_price      as total_amount,
  w.description      as description,
  w.free             as is_free,
  w.global_price     as global_price,
  w.doctor_price     as doctor_price,
  w.base_price       as base_price,
  w.discount_percent as discount_percent,
  w.discount_value   as discount_amount,
  w.discount_price   as discount_price,
  w.discount_reason  as discount_reason,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'payment_id',  w.payment_id,
    'product_id',  w.product_id,
    'purchase_id', w.purchase_id
  )))                as metadata,
  nullif(concat_ws(',',
    case when w.product_id is not null and product.id is null then 'products' end,
    case when w.purchase_id is not null and purchase.id is null then 'purchases' end
  ), '')             as missing,
  case when payment.id is null then 'orphan_payment' end as reject
from legacy.dispatch_ware as w
left join ids.payments  as payment  on payment.legacy_id  = w.payment_id
left join ids.products  as product  on product.legacy_id  = w.product_id
left join ids.purchases as purchase on purchase.legacy_id = w.purchase_id;
