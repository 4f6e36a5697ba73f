-- Courses: one per dispatch_course, the types of order.
--
-- target   public.courses
-- source   dispatch_course
-- adopt    legacy_id

create view transform.courses as
select
  c.id          as legacy_key,
  c.id::integer as legacy_id,
  btrim(c.name) as name,
  -- not the id: id 3 is replacement and 4 is any, type 3 is any and 4 is replacement
  c.type        as course_type,
  case
    when btrim(c.customization) <> ''
      then coalesce(parsed.customization, jsonb_build_object('raw', c.customization))
  end           as customization,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'invalid_json', case
      when btrim(c.customization) <> '' and parsed.customization is null then 'customization'
    end
  )))           as metadata
from legacy.dispatch_course as c
cross join lateral (
  select migration.try_jsonb(c.customization) as customization
  offset 0
) as parsed;
