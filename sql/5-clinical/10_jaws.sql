-- Jaws: one per dispatch_jaw, the arches of orders.
-- The sub-select reads all orders for every batch: take batches of 10,000 keys or more.
--
-- target   public.jaws
-- source   dispatch_jaw
-- adopt    legacy_jaw_id
-- mapping  jaw
-- commit   batch
-- reject   unreferenced_jaw  no order refers to it

create view transform.jaws as
select
  j.id              as legacy_key,
  j.id::integer     as legacy_jaw_id,
  -- NULL when the order was rejected
  clinical_order.id as order_id,
  product.id        as product_id,
  -- a jaw does not know its side: it follows from the reference that points here
  ref.side          as jaw_type,
  j.labial          as labial,
  j.bond_teeth      as bond_teeth,
  j.extract_teeth   as extract_teeth,
  -- 2 and 3 are disputed (other, complete)
  case j.reason
    when 1 then 'breakage'
    else null
  end               as replacement_reason,
  -- all orders, when there are several
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'reason',          j.reason,
    'product_id',      j.product_id,
    'instruction_id',  ref.instruction_id,
    'instruction_ids', case when cardinality(ref.all_ids) > 1 then to_jsonb(ref.all_ids) end
  )))               as metadata,
  nullif(concat_ws(',',
    case when ref.instruction_id is not null and clinical_order.id is null then 'orders' end,
    case when j.product_id is not null and product.id is null then 'products' end
  ), '')            as missing,
  case when ref.jaw_id is null then 'unreferenced_jaw' end as reject
from legacy.dispatch_jaw as j
left join (
  select
    s.jaw_id,
    min(s.instruction_id) as instruction_id,
    array_agg(s.instruction_id order by s.instruction_id, s.side desc) as all_ids,
    (array_agg(s.side order by s.instruction_id, s.side desc))[1] as side
  from (
    select
      a.upper_jaw_id as jaw_id,
      a.id           as instruction_id,
      'upper'::text  as side
    from legacy.dispatch_instruction as a
    where a.upper_jaw_id is not null
    union all
    select
      b.lower_jaw_id as jaw_id,
      b.id           as instruction_id,
      'lower'::text  as side
    from legacy.dispatch_instruction as b
    where b.lower_jaw_id is not null
  ) as s
  group by s.jaw_id
) as ref on ref.jaw_id = j.id
left join ids.orders   as clinical_order on clinical_order.legacy_id = ref.instruction_id
left join ids.products as product        on product.legacy_id        = j.product_id;
