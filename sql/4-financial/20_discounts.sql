-- Discounts: one per dispatch_discount, the discount rules of offers.
-- A rule that is there is in force; whether it still counts follows from dates and uses.
--
-- target   public.discounts
-- source   dispatch_discount
-- adopt    legacy_discount_id
-- mapping  discount

create view transform.discounts as
select
  d.id                               as legacy_key,
  d.id::integer                      as legacy_discount_id,
  offer.id                           as offer_id,
  -- the reason; may be empty
  btrim(d.reason)                    as name,
  'percentage'::public.discount_type as discount_type,
  d.percent::numeric                 as percentage,
  d.count                            as max_uses,
  d.used                             as current_uses,
  -- ISO dates: the columns are text
  d.start::text                      as valid_from,
  d.finish::text                     as valid_until,
  d.total                            as is_total,
  true                               as is_active,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'offer_id', d.offer_id
  )))                                as metadata,
  case when d.offer_id is not null and offer.id is null then 'offers' end as missing
from legacy.dispatch_discount as d
left join ids.offers as offer on offer.legacy_id = d.offer_id;
