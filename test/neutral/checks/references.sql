-- References lead to the row the source refers to, whatever its key is.
-- Each is (legacy id, reference, id map); a reference that leads nowhere in the source is NULL.
--
-- severity  error
-- reads     source
-- edits     explain

select
  c.entity,
  d.column_name,
  d.id_map,
  d.row_count,
  d.first_legacy_id
from (
  values
    ('countries', array[['migration.key_number(s.part_of)', 't.part_of', 'countries']]),
    ('films', array[
      ['s.language_id', 't.language_id', 'languages'],
      ['s.sequel_of', 't.sequel_of', 'films']
    ]),
    ('credits', array[
      ['s.film_id', 't.film_id', 'films'],
      ['migration.key_number(s.actor_id)', 't.actor_id', 'actors']
    ]),
    ('customers', array[['migration.key_number(s."CountryCode")', 't.country_id', 'countries']]),
    ('contacts_home', array[['s."CustomerId"', 't.customer_id', 'customers']]),
    ('rentals', array[
      ['s.film_id', 't.film_id', 'films'],
      ['s.customer_id', 't.customer_id', 'customers']
    ]),
    ('payments', array[['s.rental_id', 't.rental_id', 'rentals']])
) as c (entity, referring)
cross join lateral migration.wrong_references(c.entity, c.referring) as d;
