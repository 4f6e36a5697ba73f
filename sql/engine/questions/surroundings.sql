-- What a person should know of the target before a run, and nothing depends on: $1 = its tables, `schema.table`.

with tables as materialized (
  select c.oid, n.name, greatest(c.reltuples, 0)::bigint as row_count,
    pg_catalog.pg_total_relation_size(c.oid)        as bytes
  from pg_catalog.unnest($1::text[]) as n (name)
  join pg_catalog.pg_class as c on c.oid = pg_catalog.to_regclass(n.name)
)
select
  (select s.ssl from pg_catalog.pg_stat_ssl as s where s.pid = pg_catalog.pg_backend_pid())     as ssl,
  (select s.version from pg_catalog.pg_stat_ssl as s where s.pid = pg_catalog.pg_backend_pid()) as tls,
  pg_catalog.inet_server_port()                                                    as port,
  -- what the session began with: ours are set by each transaction
  (select pg_catalog.json_object_agg(s.name, s.reset_val)
   from pg_catalog.pg_settings as s
   where s.name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
     'idle_session_timeout', 'transaction_timeout'))                               as timeouts,
  pg_catalog.pg_database_size(pg_catalog.current_database())                       as bytes,
  (select pg_catalog.json_agg(l) from (
     select t.name, t.row_count as rows, t.bytes from tables as t
     order by t.bytes desc, t.name limit 3) as l)                                  as largest,
  (select coalesce(pg_catalog.array_agg(pg_catalog.concat(t.name, '.', g.tgname)
     order by t.name, g.tgname), '{}')
   from tables as t
   join pg_catalog.pg_trigger as g on g.tgrelid = t.oid and not g.tgisinternal
     and g.tgenabled <> 'D')                                                       as triggers;
