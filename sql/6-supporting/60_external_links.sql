-- External links: one per dispatch_link, the ids of our objects in other systems.
-- Tolerance: about 1 % lead nowhere (an estimate; the live number is unknown). A link to a model
-- not listed here is rejected, not guessed: add a join when one turns up. All source columns
-- are assumed.
--
-- target     public.external_links
-- source     dispatch_link
-- adopt      legacy_link_id
-- tolerance  2 %
-- reject     orphan_item  it leads to a row that is not stored, or to a kind that is not known

create view transform.external_links as
select
  l.id                as legacy_key,
  l.id::integer       as legacy_link_id,
  item.id             as internal_entity_id,
  item.entity         as internal_entity_type,
  'external_id'::text as link_type,
  -- the source does not name the system
  'unknown'::text     as system_name,
  l.external_id       as external_id,
  -- a link that is there is in force
  true                as is_active,
  l.created_at        as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'item_type_id', l.item_type_id,
    'item_type',    content_type.model,
    'item_id',      l.item_id,
    'modified_at',  l.modified_at
  )))                 as metadata,
  case when item.id is null then 'orphan_item' end as reject
from legacy.dispatch_link as l
left join legacy.django_content_type as content_type on content_type.id = l.item_type_id
left join ids.patients as patient
  on content_type.app_label = 'dispatch'
  and content_type.model = 'patient'
  and patient.legacy_id = l.item_id
left join ids.orders as clinical_order
  on content_type.app_label = 'dispatch'
  and content_type.model = 'instruction'
  and clinical_order.legacy_id = l.item_id
left join ids.offices as office
  on content_type.app_label = 'dispatch'
  and content_type.model = 'office'
  and office.legacy_id = l.item_id
left join ids.payments as payment
  on content_type.app_label = 'dispatch'
  and content_type.model = 'payment'
  and payment.legacy_id = l.item_id
left join ids.products as product
  on content_type.app_label = 'dispatch'
  and content_type.model = 'product'
  and product.legacy_id = l.item_id
-- 58 stands for user accounts; its model name is not known
left join ids.profiles as profile
  on ((content_type.app_label = 'auth' and content_type.model = 'user') or l.item_type_id = 58)
  and profile.legacy_id = l.item_id
cross join lateral (
  select
    coalesce(
      patient.id,
      clinical_order.id,
      office.id,
      payment.id,
      product.id,
      profile.id
    ) as id,
    case
      when patient.id is not null then 'patients'
      when clinical_order.id is not null then 'orders'
      when office.id is not null then 'offices'
      when payment.id is not null then 'payments'
      when product.id is not null then 'products'
      when profile.id is not null then 'profiles'
    end as entity
) as item;
