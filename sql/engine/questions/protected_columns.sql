-- Where protected columns are, and the statement that reads their values: a number of values and a sum
-- of hashes over table, key and value, children included. Everything but the name is NULL where there is
-- no such column. Asked around a schema change (runner/schema/guard.ts), which may alter any function:
-- $1, $2, $3 are the names of schemas, tables and columns.

select concat_ws('.', wanted.schema, wanted.tab, wanted.col) as name,
       a.attrelid::text                                       as relation,
       a.attnum                                               as position,
       format_type(a.atttypid, a.atttypmod)                   as type,
       case when a.attname is not null then format(
         'select concat_ws('':'', count(*), sum(hashtextextended('
           'concat_ws('','', t.tableoid, %s, t.%I), 0))) as values from %s as t '
           'where t.%2$I is not null',
         coalesce(key.columns, 'null'), a.attname, c.oid::regclass) end as query
from unnest($1::text[], $2::text[], $3::text[]) with ordinality as wanted (schema, tab, col, n)
left join pg_namespace as n on n.nspname = wanted.schema
left join pg_class     as c on c.relnamespace = n.oid and c.relname = wanted.tab
left join pg_attribute as a
  on a.attrelid = c.oid and a.attname = wanted.col and a.attnum > 0 and not a.attisdropped
left join lateral (
  select string_agg(format('t.%I', k.attname), ', ' order by k.attnum) as columns
  from pg_index as i
  join pg_attribute as k
    on k.attrelid = i.indrelid and k.attnum = any (i.indkey)
  where i.indrelid = c.oid and i.indisprimary
) as key on true
order by wanted.n;
