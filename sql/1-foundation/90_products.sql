-- Products: one per dispatch_product, deleted ones included.
-- Rows already present are known to hold the PRODUCT id in legacy_course_id and may lack
-- legacy_product_id: copy it over before they are adopted.
--
-- target   public.products
-- source   dispatch_product
-- adopt    legacy_product_id
-- mapping  product
-- reject   unknown_course  its course is none of 1, 2, 3, 4, 7 and 8

create view transform.products as
select
  p.id                                 as legacy_key,
  p.id::integer                        as legacy_product_id,
  -- the real course id, which several products share
  p.course_id                          as legacy_course_id,
  btrim(p.name)                        as name,
  (case p.course_id
    when 1 then 'main'
    when 2 then 'refinement'
    when 3 then 'replacement'
    when 4 then 'any'
    when 7 then 'invoice'
    when 8 then 'merchandise'
    else null
  end)::public.course_type             as course_type,
  -- prices live in offers; only "free" is known here
  case when p.free then 0::numeric end as base_price,
  case
    when btrim(p.customization) <> ''
      then coalesce(parsed.customization, jsonb_build_object('raw', p.customization))
  end                                  as customization,
  not p.deleted                        as is_active,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'description', p.description,
    'free',        p.free,
    'type',        p.type,
    'substitute',  p.substitute,
    'deleted',     p.deleted,
    'course_id',   p.course_id,
    'invalid_json', case
      when btrim(p.customization) <> '' and parsed.customization is null then 'customization'
    end
  )))                                  as metadata,
  case when p.course_id not in (1, 2, 3, 4, 7, 8) then 'unknown_course' end as reject
from legacy.dispatch_product as p
cross join lateral (
  select migration.try_jsonb(p.customization) as customization
  offset 0
) as parsed;
