-- Row level security is on for every table that a role of the API may use, in the schemas entities write to.
-- What these roles may do there is often granted by default: policies are what protects the rows.
--
-- severity  error

select c.oid::regclass::text as table_name
from pg_catalog.pg_class as c
where c.relnamespace in (select migration.target_schemas())
  and c.relkind in ('r', 'p')
  and not c.relrowsecurity
  and exists (
    select from pg_catalog.pg_roles as r
    where r.rolname in ('anon', 'authenticated')
      and (
        has_table_privilege(r.oid, c.oid, 'select, insert, update, delete, truncate')
        or has_any_column_privilege(r.oid, c.oid, 'select, insert, update')
      )
  )
order by 1;
