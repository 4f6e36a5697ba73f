-- Names, parts and phones are those of the source.
-- Pairs are (source expression, target column).
--
-- severity  error
-- reads     source
-- edits     explain

select
  c.entity,
  d.column_name,
  count(*)         as row_count,
  min(d.legacy_id) as first_legacy_id
from (
  values
    ('countries', array[['s.code', 't.code'], ['s.name', 't.name']]),
    ('actors', array[['s.last_name', 't.last_name']]),
    ('credits', array[['s.part', 't.part']]),
    ('customers', array[['s."LastName"', 't.last_name'], ['lower(s."EMail")', 't.email']]),
    ('contacts_home', array[['s."HomePhone"', 't.phone']]),
    ('contacts_work', array[['s."WorkPhone"', 't.phone']]),
    ('payments', array[['s.method::text', 't.method::text']])
) as c (entity, pairs)
cross join lateral migration.differing_values(c.entity, c.pairs) as d
group by c.entity, d.column_name
order by c.entity, d.column_name;
