-- What the way to the source is like, for `doctor`: nothing depends on it. The link is open.

-- TLS of it, the largest source tables, how long a question takes and how fast rows come: of a foreign
-- table, as a run reads them, and at most 20,000.
create or replace function migration.link_surroundings(tables text[])
returns table (
  ssl boolean, tls text, rows bigint, bytes bigint, largest json, round_trip_ms double precision,
  read_table text, read_rows bigint, read_ms double precision)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  began timestamptz;
begin
  perform migration.connect_versions();
  select d.ssl, d.tls into ssl, tls
  from extensions.dblink('versions', $q$
    select s.ssl, s.version from pg_catalog.pg_stat_ssl as s where s.pid = pg_backend_pid()
  $q$) as d (ssl boolean, tls text);
  select d.rows, d.bytes, d.largest into rows, bytes, largest
  from extensions.dblink('versions', format($q$
    with sizes as (
      select c.relname::text as name, greatest(c.reltuples, 0)::bigint as rows,
        pg_total_relation_size(c.oid) as bytes
      from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = any (%L::text[])
      where c.relname = any (%L::text[]) and c.relkind in ('r', 'm'))
    select sum(s.rows)::bigint, sum(s.bytes)::bigint, (
      select json_agg(l) from (
        select * from sizes as z order by z.bytes desc, z.name limit 3) as l)
    from sizes as s
  $q$, migration.source_schemas(), tables)) as d (rows bigint, bytes bigint, largest json);
  -- the best of five: what is busy at the moment is not what the way is like
  for i in 1..5 loop
    began := clock_timestamp();
    perform * from extensions.dblink('versions', 'select 1') as d (one integer);
    round_trip_ms := least(round_trip_ms, extract(epoch from clock_timestamp() - began) * 1000);
  end loop;
  read_table := largest -> 0 ->> 'name';
  -- none where the source shows its tables through views, or through tables of yet another database
  if read_table is not null and to_regclass(format('legacy.%I', read_table)) is not null then
    began := clock_timestamp();
    execute format(
      'select count(r.*) from (select * from legacy.%I limit 20000) as r', read_table)
    into read_rows;
    read_ms := extract(epoch from clock_timestamp() - began) * 1000;
  end if;
  return next;
end
$$;
