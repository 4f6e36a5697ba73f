-- Template products: one per dispatch_template_products, the products a template is for.
-- Tolerance: 5 of 183 rows (3 %) are known to name a product that does not exist.
--
-- target     public.template_products
-- source     dispatch_template_products
-- adopt      template_id, product_id
-- deletes    remove
-- tolerance  5 %
-- reject     orphan_template  its template is not stored
-- reject     orphan_product   its product is not stored

create view transform.template_products as
select
  m.id          as legacy_key,
  m.id::integer as legacy_id,
  template.id   as template_id,
  product.id    as product_id,
  -- a pair is one membership
  1             as quantity,
  case
    when template.id is null then 'orphan_template'
    when product.id is null then 'orphan_product'
  end           as reject
from legacy.dispatch_template_products as m
left join ids.templates as template on template.legacy_id = m.template_id
left join ids.products  as product  on product.legacy_id  = m.product_id;
