-- No login of the source and no secret column is left in the target.
-- Runs before the link is opened: a user mapping lives only in a transaction that reads.
--
-- severity  error

select
  'user mapping'                       as what,
  concat(m.srvname, ' for ', m.usename) as name
from pg_catalog.pg_user_mappings as m
where m.srvname = 'legacy_source'
union all
select 'server option', concat(s.srvname, ' ', o.option_name)
from pg_catalog.pg_foreign_server as s
cross join lateral pg_options_to_table(s.srvoptions) as o
where s.srvname = 'legacy_source' and o.option_name in ('user', 'password', 'passfile')
union all
select 'foreign column', concat(c.relname, '.', a.attname)
from pg_catalog.pg_class as c
join pg_catalog.pg_attribute as a on a.attrelid = c.oid
where c.relnamespace in ('legacy'::regnamespace, 'legacy_versions'::regnamespace)
  and a.attnum > 0
  and not a.attisdropped
  and (
    a.attname in ('password', 'access_token')
    or c.relname = 'dispatch_globalsetting'
      and a.attname in ('setting', 'application_id', 'location_id')
  )
union all
-- hashes of the source go to the private archive only; the application may have its own
select 'password hash', concat(count(*), ' migrated profiles')
from public.profiles as p
join ids.profiles as m on m.id = p.id
where p.password_hash is not null and not m.adopted
having count(*) > 0;
