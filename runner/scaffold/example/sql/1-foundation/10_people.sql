-- People: one per person.
--
-- target  public.people
-- source  person
-- adopt   legacy_id

create view transform.people as
select
  p.id                      as legacy_key,
  p.id::integer             as legacy_id,
  btrim(p.name)             as name,
  nullif(btrim(p.mail), '') as email
from legacy.person as p;
