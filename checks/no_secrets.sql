-- No secret column and no password of the source is left in the target.
-- Passwords are compared with every text of the application's tables, whoever wrote the row; clear
-- them with `up --clear-leaked-hashes`. They go to the private archive only.
--
-- severity  error
-- reads     source

select
  'foreign column'                   as what,
  concat(c.relname, '.', a.attname) as name
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
select 'password of the source', format('%s.%s: %s rows', l.place, l.column_name, l.row_count)
from migration.leaked_secrets('auth_user', 'password') as l
union all
-- the application may have its own, but not in rows that we made
select 'password hash', concat(count(*), ' migrated profiles')
from public.profiles as p
join ids.profiles as m on m.id = p.id
where p.password_hash is not null and not m.adopted
having count(*) > 0;
