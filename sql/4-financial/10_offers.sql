-- Offers: one per dispatch_offer, the price list per doctor and product.
-- order_id, offer_amount and is_accepted are not supplied: an offer belongs to no order and has
-- up to three prices. In rows already present they are known to hold invented values.
--
-- target   public.offers
-- source   dispatch_offer
-- adopt    legacy_offer_id
-- mapping  offer

create view transform.offers as
select
  f.id          as legacy_key,
  f.id::integer as legacy_offer_id,
  -- NULL = for everybody, or an unknown doctor: metadata.legacy.doctor_id tells them apart
  doctor.id     as doctor_id,
  product.id    as product_id,
  f.price_both  as price_both,
  f.price_upper as price_upper,
  f.price_lower as price_lower,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'doctor_id',  f.doctor_id,
    'product_id', f.product_id
  )))           as metadata,
  nullif(concat_ws(',',
    case when f.doctor_id is not null and doctor.id is null then 'doctors' end,
    case when f.product_id is not null and product.id is null then 'products' end
  ), '')        as missing
from legacy.dispatch_offer as f
left join ids.doctors  as doctor  on doctor.legacy_id  = f.doctor_id
left join ids.products as product on product.legacy_id = f.product_id;
