-- The target as the runner sees it, before anything is installed: $1 = the schemas that are written.

select
  current_setting('server_version_num')::integer               as version,
  current_setting('server_version')                            as version_text,
  current_user::text                                           as role,
  r.rolsuper                                                   as superuser,
  r.rolbypassrls or r.rolsuper                                 as bypass,
  current_setting('default_transaction_read_only') = 'on'      as read_only,
  pg_catalog.pg_is_in_recovery()                               as replica,
  (select coalesce(pg_catalog.array_agg(e.extname::text order by 1), '{}')
   from pg_catalog.pg_extension as e
   join pg_catalog.pg_namespace as n on n.oid = e.extnamespace and n.nspname = 'extensions'
   where e.extname in ('postgres_fdw', 'dblink', 'uuid-ossp')) as extensions,
  (select coalesce(pg_catalog.array_agg(a.name::text), '{}')
   from pg_catalog.pg_available_extensions as a
   where a.name in ('postgres_fdw', 'dblink', 'uuid-ossp'))    as installable,
  has_database_privilege(current_database(), 'create')         as creates,
  (select coalesce(pg_catalog.array_agg(c.oid::regclass::text order by 1), '{}')
   from pg_catalog.pg_class as c
   join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = any ($1)
   where c.relkind in ('r', 'p')
     and not pg_has_role(current_user, c.relowner, 'usage'))   as others,
  (select coalesce(pg_catalog.array_agg(c.oid::regclass::text order by 1), '{}')
   from pg_catalog.pg_class as c
   join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = any ($1)
   where c.relkind in ('r', 'p') and c.relrowsecurity
     and row_security_active(c.oid))                           as forced,
  current_setting('pg_stat_statements.track', true)            as tracks,
  current_setting('log_min_messages')                          as log_level
from pg_catalog.pg_roles as r
where r.rolname = current_user;
