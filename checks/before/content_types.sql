-- The content types the generic references go through are what the mapping takes them for.
-- 11 is the patient by number; the order is found by its name.
--
-- severity  error

select
  expected.id    as content_type_id,
  expected.model as expected,
  found.model    as found
from (values (11, 'patient')) as expected (id, model)
left join legacy.django_content_type as found on found.id = expected.id
where found.model is distinct from expected.model or found.app_label <> 'dispatch'
union all
select
  null          as content_type_id,
  'instruction' as expected,
  null          as found
where not exists (
  select from legacy.django_content_type as t
  where t.app_label = 'dispatch' and t.model = 'instruction'
);
