-- Languages: one per language.
--
-- target  public.languages
-- source  language
-- key     language_id
-- adopt   legacy_language_id

create view transform.languages as
select
  l.language_id as legacy_key,
  l.language_id as legacy_language_id,
  btrim(l.name) as name
from legacy.language as l;
