-- The schemas of the migration are open to nobody but their owner.
-- They show the whole source, personal data included; the API roles must not reach them, not
-- even through a role they are members of.
--
-- severity  error

with api_roles as (
  select r.oid, r.rolname
  from pg_catalog.pg_roles as r
  where r.rolname in ('anon', 'authenticated', 'service_role', 'authenticator')
  union all
  select 0, 'public'
),
schemas as (
  select n.oid, n.nspname, n.nspacl, n.nspowner
  from pg_catalog.pg_namespace as n
  where n.nspname in (
    'migration', 'ids', 'transform', 'legacy', 'legacy_versions', 'legacy_archive'
  )
),
granted as (
  select concat('schema ', s.nspname) as object, a.grantee, a.privilege_type
  from schemas as s
  cross join lateral aclexplode(s.nspacl) as a
  union all
  select concat('table ', s.nspname, '.', c.relname), a.grantee, a.privilege_type
  from schemas as s
  join pg_catalog.pg_class as c on c.relnamespace = s.oid
  cross join lateral aclexplode(c.relacl) as a
  union all
  select
    concat('column ', s.nspname, '.', c.relname, '.', t.attname), a.grantee, a.privilege_type
  from schemas as s
  join pg_catalog.pg_class as c on c.relnamespace = s.oid
  join pg_catalog.pg_attribute as t on t.attrelid = c.oid
  cross join lateral aclexplode(t.attacl) as a
  union all
  -- without an entry the default applies, which lets everybody execute
  select concat('function ', p.oid::regprocedure), a.grantee, a.privilege_type
  from schemas as s
  join pg_catalog.pg_proc as p on p.pronamespace = s.oid
  cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
  union all
  select concat('what will be made in schema ', s.nspname), a.grantee, a.privilege_type
  from schemas as s
  join pg_catalog.pg_default_acl as d on d.defaclnamespace = s.oid
  cross join lateral aclexplode(d.defaclacl) as a
)
select g.object, r.rolname as granted_to, g.privilege_type
from granted as g
join api_roles as r on r.oid = g.grantee
union
select concat('schema ', s.nspname), r.rolname, 'USAGE'
from schemas as s
join api_roles as r on r.oid <> 0
where has_schema_privilege(r.oid, s.oid, 'usage')
  and not pg_has_role(r.oid, s.nspowner, 'usage')
order by 1, 2, 3;
