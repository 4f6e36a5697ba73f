-- Countries: one per country, known by its code; a country may be part of another.
--
-- target  public.countries
-- source  country
-- key     code
-- adopt   code

create view transform.countries as
select
  migration.key_number(c.code) as legacy_key,
  c.code                       as code,
  c.name                       as name,
  whole.id                     as part_of,
  case when c.part_of is not null and whole.id is null then 'countries' end as missing
from legacy.country as c
left join ids.countries as whole on whole.legacy_id = migration.key_number(c.part_of);
