-- Row level security is on for every table of the schemas that entities write to.
-- What the API roles may do there is granted by default: policies are what protects the rows.
--
-- severity  error

select c.oid::regclass::text as table_name
from pg_catalog.pg_class as c
where c.relnamespace in (select migration.target_schemas())
  and c.relkind in ('r', 'p')
  and not c.relrowsecurity
order by 1;
