-- No login of the source is left in the target.
-- It is there while a transaction reads, and goes with it.
--
-- severity  error

select
  'user mapping'                        as what,
  concat(m.srvname, ' for ', m.usename) as name
from pg_catalog.pg_user_mappings as m
-- that of this transaction goes with it
where m.srvname = 'legacy_source' and not migration.is_own_login(m.usename)
union all
select 'server option', concat(s.srvname, ' ', o.option_name)
from pg_catalog.pg_foreign_server as s
cross join lateral pg_options_to_table(s.srvoptions) as o
where s.srvname = 'legacy_source' and o.option_name in ('user', 'password', 'passfile');
