-- Purchases: one per dispatch_purchase, the lines of shop orders; known to be empty.
-- Rows already present stem from bills: their legacy_purchase_id holds payment ids, so nothing
-- is adopted. Settle them before the source gets its first row: the UNIQUE may clash.
--
-- target   public.purchases
-- source   dispatch_purchase
-- adopt    none
-- reject   orphan_product  its product is not stored

create view transform.purchases as
select
  p.id                 as legacy_key,
  p.id::integer        as legacy_purchase_id,
  product.id           as product_id,
  p.quantity           as quantity,
  p.price              as unit_price,
  p.price * p.quantity as total_amount,
  p.used               as used_quantity,
  p.description        as description,
  -- unknown; the default (the time of the load) would be a lie
  null::timestamptz    as purchased_at,
  -- order_id is a shop order, not one of the orders stored here
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'order_id',   p.order_id,
    'product_id', p.product_id
  )))                  as metadata,
  case when product.id is null then 'orphan_product' end as reject
from legacy.dispatch_purchase as p
left join ids.products as product on product.legacy_id = p.product_id;
