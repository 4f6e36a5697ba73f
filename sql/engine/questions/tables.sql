-- The relations of some schemas as a mapping sees them: $1 = the schemas, none = all. For either side, a source of
-- release 9.5 included, before anything is installed. Partitions are their table, as is a child without a
-- column of its own; what belongs to an extension is left out.

with recursive base as (
  -- a domain is the type below it
  select t.oid as type, t.oid as below, null::integer as modifier, t.typnotnull as required,
    t.typdefault is not null as has_default
  from pg_catalog.pg_type as t
  union all
  select b.type, t.typbasetype, coalesce(b.modifier, nullif(t.typtypmod, -1)),
    b.required or below.typnotnull, b.has_default or below.typdefault is not null
  from base as b
  join pg_catalog.pg_type as t on t.oid = b.below and t.typtype = 'd'
  join pg_catalog.pg_type as below on below.oid = t.typbasetype
),
relations as (
  select c.oid, n.nspname, c.relname, c.relkind, c.reltuples
  from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    and (n.nspname = any ($1) or $1 = '{}' and n.nspname !~ '^(pg_|information_schema$)'
      and has_schema_privilege(n.oid, 'usage'))
  where c.relkind in ('r', 'p', 'f', 'v', 'm')
    -- a column of the catalog from release 10 on
    and coalesce(pg_catalog.to_jsonb(c) ->> 'relispartition', 'false') = 'false'
    and not exists (
      select 1 from pg_catalog.pg_inherits as i
      where i.inhrelid = c.oid and not exists (
        select 1 from pg_catalog.pg_attribute as o
        where o.attrelid = c.oid and o.attnum > 0 and not o.attisdropped and o.attinhcount = 0))
    and not exists (
      select 1 from pg_catalog.pg_depend as e
      where e.classid = 'pg_catalog.pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
)
select
  r.nspname::text                        as schema,
  r.relname::text                        as name,
  r.relkind::text                        as kind,
  greatest(r.reltuples, 0)::bigint       as row_count,
  coalesce((
    select pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', a.attname,
      'type', pg_catalog.format_type(
        b.below, coalesce(b.modifier, nullif(a.atttypmod, -1), -1)),
      -- what the other side need not have: an enum, or a type of an extension or of the schema
      'labels', (
        select pg_catalog.json_agg(e.enumlabel order by e.enumsortorder)
        from pg_catalog.pg_enum as e where e.enumtypid = b.below),
      'type_schema', n.nspname,
      'type_name', t.typname,
      'required', a.attnotnull or b.required,
      'has_default', a.atthasdef or b.has_default
        or coalesce(pg_catalog.to_jsonb(a) ->> 'attidentity', '') <> '',
      'generated', coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> ''
    ) order by a.attnum)
    from pg_catalog.pg_attribute as a
    join base as b on b.type = a.atttypid
    join pg_catalog.pg_type as t on t.oid = b.below and t.typtype <> 'd'
    join pg_catalog.pg_namespace as n on n.oid = t.typnamespace
    where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped), '[]') as columns,
  -- the primary key first; columns that are only included are no part of a key
  coalesce((
    select pg_catalog.json_agg(k.columns order by k.is_primary desc, k.name)
    from (
      select i.indisprimary as is_primary, x.relname as name, (
        select pg_catalog.json_agg(a.attname order by o.at)
        from pg_catalog.unnest(i.indkey::smallint[]) with ordinality as o (attnum, at)
        join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = o.attnum
        where o.at <= coalesce((pg_catalog.to_jsonb(i) ->> 'indnkeyatts')::integer, i.indnatts)
      ) as columns
      from pg_catalog.pg_index as i
      join pg_catalog.pg_class as x on x.oid = i.indexrelid
      where i.indrelid = r.oid and i.indisunique and i.indisvalid and i.indpred is null
        and i.indexprs is null) as k), '[]') as keys,
  coalesce((
    select pg_catalog.json_agg(pg_catalog.json_build_object(
      'columns', (
        select pg_catalog.json_agg(a.attname order by o.at)
        from pg_catalog.unnest(f.conkey) with ordinality as o (attnum, at)
        join pg_catalog.pg_attribute as a on a.attrelid = f.conrelid and a.attnum = o.attnum),
      'schema', s.nspname,
      'table', p.relname,
      'referred', (
        select pg_catalog.json_agg(a.attname order by o.at)
        from pg_catalog.unnest(f.confkey) with ordinality as o (attnum, at)
        join pg_catalog.pg_attribute as a on a.attrelid = f.confrelid and a.attnum = o.attnum)
    ) order by f.conname)
    from pg_catalog.pg_constraint as f
    join pg_catalog.pg_class as p on p.oid = f.confrelid
    join pg_catalog.pg_namespace as s on s.oid = p.relnamespace
    where f.contype = 'f' and f.conrelid = r.oid), '[]') as foreign_keys
from relations as r
order by 1, 2;
