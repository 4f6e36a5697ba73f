-- Categories: the tree of task categories, one per dispatch_category.
-- parent_id refers to this entity itself: the ids of all its rows have to be there first.
--
-- target   public.categories
-- source   dispatch_category
-- adopt    legacy_category_id
-- mapping  category

create view transform.categories as
select
  c.id          as legacy_key,
  c.id::integer as legacy_category_id,
  parent.id     as parent_id,
  btrim(c.name) as name,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'parent_id', c.parent_id
  )))           as metadata,
  case when c.parent_id is not null and parent.id is null then 'categories' end as missing
from legacy.dispatch_category as c
left join ids.categories as parent on parent.legacy_id = c.parent_id;
