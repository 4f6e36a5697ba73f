-- Helper functions of checks/*.sql: what needs dynamic SQL (all id maps, all foreign keys), and
-- the comparison of source and target. None of them writes.
--
-- Source and target are compared row by row of the ledger, and only where the source row still
-- has the version the ledger holds: what changed in the source since the last run is not an error
-- of the migration (check source_drift lists it). An entity that is not complete yields nothing.
-- Nested loops are off: foreign tables have no statistics, and one on 700,000 rows never ends.

-- What became of each source row: the text of a query. Rows that are gone from the source, or
-- that were left to the application in a conflict, are in checks of their own.
create or replace function migration.ledger_query(entity text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format($q$
    select m.legacy_id, m.id, m.version, m.missing, 'merged' as state
    from ids.%1$I as m
    where not exists (
        select from migration.gone as g
        where g.entity = %1$L and g.legacy_id = m.legacy_id)
      and not exists (
        select from migration.conflicts as c
        where c.entity = %1$L and c.legacy_id = m.legacy_id and c.resolution = 'target')
    union all
    select j.legacy_id, null, j.version, null, 'rejected'
    from migration.rejects as j
    where j.entity = %1$L and j.resolved_run is null
  $q$, $1)
$$;

-- Rows of source and target side by side, in several columns of one kind: the text of a query of
-- (side, column_name, in_group, value). Pairs are expressions over s, the source row, and over t,
-- the target row. Sides are source, target and rejected (the source rows kept with the rejects).
create or replace function migration.sides_query(
  entity text, kind text, pairs text[], source_group text, target_group text)
returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  known       migration.entities;
  both_sides  text;
  rejects     text;
begin
  select e.* into strict known from migration.entities as e where e.entity = $1;
  select
    string_agg(format(
      $q$('source', %1$L, (%2$s)::text, (%3$s)::%4$s, true),
         ('target', %1$L, (%5$s)::text, (%6$s)::%4$s, k.state = 'merged')$q$,
      p.target_value, coalesce($4, 'null'), p.source_value, $2, coalesce($5, 'null'),
      p.target_value), ', '),
    string_agg(format(
      $q$('rejected', %1$L, (%2$s)::text, (%3$s)::%4$s)$q$,
      p.target_value, coalesce($4, 'null'), p.source_value, $2), ', ')
  into both_sides, rejects
  from (
    select $3[i][1] as source_value, $3[i][2] as target_value
    from generate_subscripts($3, 1) as i
  ) as p;
  return format($q$
    select x.side, x.column_name, x.in_group, x.value
    from legacy.%1$I as s
    join legacy_versions.%1$I as v on v.id = s.id
    join (%2$s) as k on k.legacy_id = s.id and k.version = v.version
    left join %3$s as t on t.id = k.id
    cross join lateral (values %4$s) as x (side, column_name, in_group, value, counts)
    where x.counts
    union all
    select x.side, x.column_name, x.in_group, x.value
    from (
      select r.* from migration.rejects as j
      join legacy_versions.%1$I as v on v.id = j.legacy_id and v.version = j.version
      cross join lateral jsonb_populate_record(null::legacy.%1$I, j.source_row) as r
      where j.entity = %5$L and j.resolved_run is null
    ) as s
    cross join lateral (values %6$s) as x (side, column_name, in_group, value)
  $q$, known.source, migration.ledger_query($1), known.target, both_sides, $1, rejects);
end
$$;

-- Amounts per group (status and year, say): the source differs from target + rejected rows.
create or replace function migration.money_differences(
  entity text, pairs text[], source_group text default null, target_group text default null)
returns table (
  entity_name text, column_name text, in_group text,
  source_rows bigint, target_rows bigint, rejected_rows bigint,
  source_total numeric, target_total numeric, rejected_total numeric)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set work_mem = '64MB' as $$
begin
  if not migration.is_complete($1) then return; end if;
  return query execute format($q$
    select a.* from (
      select
        %L::text, d.column_name, d.in_group,
        count(d.value) filter (where d.side = 'source') as source_rows,
        count(d.value) filter (where d.side = 'target') as target_rows,
        count(d.value) filter (where d.side = 'rejected') as rejected_rows,
        coalesce(sum(d.value) filter (where d.side = 'source'), 0) as source_total,
        coalesce(sum(d.value) filter (where d.side = 'target'), 0) as target_total,
        coalesce(sum(d.value) filter (where d.side = 'rejected'), 0) as rejected_total
      from (%s) as d
      group by d.column_name, d.in_group
    ) as a
    where a.source_rows <> a.target_rows + a.rejected_rows
      or a.source_total <> a.target_total + a.rejected_total
  $q$, $1, migration.sides_query($1, 'numeric', $2, $3, $4));
end
$$;

-- Texts: number, length and sum of hashes differ. Hashes are computed here for both sides.
create or replace function migration.text_differences(entity text, pairs text[])
returns table (
  entity_name text, column_name text,
  source_rows bigint, target_rows bigint, rejected_rows bigint,
  source_length bigint, target_length bigint, rejected_length bigint, hashes_differ boolean)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set work_mem = '64MB' as $$
begin
  if not migration.is_complete($1) then return; end if;
  return query execute format($q$
    select
      %L::text, a.column_name, a.source_rows, a.target_rows, a.rejected_rows,
      a.source_length, a.target_length, a.rejected_length, a.source_hash <> a.target_hash
    from (
      select
        d.column_name,
        count(d.value) filter (where d.side = 'source') as source_rows,
        count(d.value) filter (where d.side = 'target') as target_rows,
        count(d.value) filter (where d.side = 'rejected') as rejected_rows,
        coalesce(sum(length(d.value)) filter (where d.side = 'source'), 0) as source_length,
        coalesce(sum(length(d.value)) filter (where d.side = 'target'), 0) as target_length,
        coalesce(sum(length(d.value)) filter (where d.side = 'rejected'), 0) as rejected_length,
        coalesce(sum(hashtextextended(d.value, 0)) filter (where d.side = 'source'), 0)
          as source_hash,
        coalesce(sum(hashtextextended(d.value, 0)) filter (where d.side <> 'source'), 0)
          as target_hash
      from (%s) as d
      group by d.column_name
    ) as a
    where a.source_rows <> a.target_rows + a.rejected_rows
      or a.source_length <> a.target_length + a.rejected_length
      or a.source_hash <> a.target_hash
  $q$, $1, migration.sides_query($1, 'text', $2, null, null));
end
$$;

-- Times: number, first, last or sum of the instants differ; the sum finds two that were swapped
-- for others between the first and the last.
create or replace function migration.time_differences(entity text, pairs text[])
returns table (
  entity_name text, column_name text, source_rows bigint, target_rows bigint,
  source_first timestamptz, target_first timestamptz,
  source_last timestamptz, target_last timestamptz, shifted_seconds numeric)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set work_mem = '64MB' as $$
begin
  if not migration.is_complete($1) then return; end if;
  return query execute format($q$
    select
      %L::text, a.column_name, a.source_rows, a.target_rows, a.source_first, a.target_first,
      a.source_last, a.target_last, a.target_sum - a.source_sum
    from (
      select
        d.column_name,
        count(d.value) filter (where d.side = 'source') as source_rows,
        count(d.value) filter (where d.side <> 'source') as target_rows,
        min(d.value) filter (where d.side = 'source') as source_first,
        min(d.value) filter (where d.side <> 'source') as target_first,
        max(d.value) filter (where d.side = 'source') as source_last,
        max(d.value) filter (where d.side <> 'source') as target_last,
        coalesce(sum(extract(epoch from d.value)) filter (where d.side = 'source'), 0)
          as source_sum,
        coalesce(sum(extract(epoch from d.value)) filter (where d.side <> 'source'), 0)
          as target_sum
      from (%s) as d
      group by d.column_name
    ) as a
    where (a.source_rows, a.source_first, a.source_last, a.source_sum)
      is distinct from (a.target_rows, a.target_first, a.target_last, a.target_sum)
  $q$, $1, migration.sides_query($1, 'timestamptz', $2, null, null));
end
$$;

-- Codes: a value stands in more or fewer rows than the code map makes of the source.
create or replace function migration.code_differences(entity text, pairs text[])
returns table (
  entity_name text, column_name text, value text,
  source_rows bigint, target_rows bigint, rejected_rows bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set work_mem = '64MB' as $$
begin
  if not migration.is_complete($1) then return; end if;
  return query execute format($q$
    select a.* from (
      select
        %L::text, d.column_name, d.value,
        count(*) filter (where d.side = 'source') as source_rows,
        count(*) filter (where d.side = 'target') as target_rows,
        count(*) filter (where d.side = 'rejected') as rejected_rows
      from (%s) as d
      group by d.column_name, d.value
    ) as a
    where a.source_rows <> a.target_rows + a.rejected_rows
  $q$, $1, migration.sides_query($1, 'text', $2, null, null));
end
$$;

-- References that do not lead where the source says. Each is (raw legacy id, reference, id map);
-- the first two are expressions over s, the source row, and t, the target row. NULL is right
-- where the map had nothing when the row was read: the id map of the entity names it then.
create or replace function migration.wrong_references(entity text, referring text[])
returns table (
  entity_name text, column_name text, id_map text, row_count bigint, first_legacy_id bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set work_mem = '64MB' as $$
declare
  known    migration.entities;
  joins    text;
  verdicts text;
begin
  if not migration.is_complete($1) then return; end if;
  select e.* into strict known from migration.entities as e where e.entity = $1;
  select
    string_agg(format('left join ids.%I as a%s on a%s.legacy_id = (%s)::bigint',
      $2[i][3], i, i, $2[i][1]), ' ' order by i),
    string_agg(format(
      $q$(%1$L, %2$L, (%1$s) is distinct from a%3$s.id and not ((%1$s) is null
          and coalesce(%2$L = any (string_to_array(k.missing, ',')), false)))$q$,
      $2[i][2], $2[i][3], i), ', ' order by i)
  into joins, verdicts
  from generate_subscripts($2, 1) as i;
  return query execute format($q$
    select %L::text, x.column_name, x.id_map, count(*), min(k.legacy_id)
    from legacy.%2$I as s
    join legacy_versions.%2$I as v on v.id = s.id
    join (%3$s) as k on k.legacy_id = s.id and k.version = v.version
    join %4$s as t on t.id = k.id
    %5$s
    cross join lateral (values %6$s) as x (column_name, id_map, is_wrong)
    where x.is_wrong
    group by x.column_name, x.id_map
  $q$, $1, known.source, migration.ledger_query($1), known.target, joins, verdicts);
end
$$;

-- Rows whose foreign key leads nowhere, over every foreign key of schema public; and foreign keys
-- that do not guard: not validated, or with a disabled trigger.
create or replace function migration.foreign_key_faults()
returns table (table_name text, constraint_name text, fault text, row_count bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set work_mem = '64MB' as $$
declare
  key   record;
  found bigint;
begin
  for key in
    select
      c.oid, c.conname, c.conrelid::regclass as referring, c.confrelid::regclass as referred,
      c.convalidated,
      string_agg(format('r.%I = t.%I', there.attname, here.attname), ' and ') as equal,
      string_agg(format('t.%I is not null', here.attname), ' and ') as given,
      exists (
        select from pg_trigger as g where g.tgconstraint = c.oid and g.tgenabled in ('D', 'R')
      ) as is_disabled
    from pg_constraint as c
    cross join lateral unnest(c.conkey, c.confkey) as k (here, there)
    join pg_attribute as here on here.attrelid = c.conrelid and here.attnum = k.here
    join pg_attribute as there on there.attrelid = c.confrelid and there.attnum = k.there
    where c.contype = 'f' and c.connamespace = 'public'::regnamespace
    group by c.oid, c.conname, c.conrelid, c.confrelid, c.convalidated
    order by c.conrelid::regclass::text, c.conname
  loop
    table_name := key.referring;
    constraint_name := key.conname;
    execute format(
      'select count(*) from %s as t where %s and not exists (select from %s as r where %s)',
      key.referring, key.given, key.referred, key.equal) into found;
    if found > 0 then
      fault := 'orphans';
      row_count := found;
      return next;
    end if;
    if key.is_disabled or not key.convalidated then
      fault := case when key.is_disabled then 'trigger disabled' else 'not validated' end;
      row_count := 0;
      return next;
    end if;
  end loop;
end
$$;

-- Entries of the id maps that are not what they should be. Ids of rows that were not adopted
-- follow from entity and key.
create or replace function migration.id_map_faults()
returns table (entity_name text, fault text, row_count bigint, first_legacy_id bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set work_mem = '64MB' as $$
declare
  known   record;
  sibling text;
begin
  for known in
    select e.entity, e.target from migration.entities as e
    where e.status = 'complete' order by e.entity
  loop
    return query execute format($q$
      select %1$L::text, x.fault, count(*), min(m.legacy_id)
      from ids.%1$I as m
      left join %2$s as t on t.id = m.id
      cross join lateral (values
        ('the target has no such row', t.id is null and not exists (
          select from migration.conflicts as c
          where c.entity = %1$L and c.legacy_id = m.legacy_id and c.kind = 'deleted'
            and c.resolution = 'target')),
        ('not the id that follows from the key', not m.adopted and m.id <>
          extensions.uuid_generate_v5(
            '6ba7b810-9dad-11d1-80b4-00c04fd430c8', concat(%1$L, ':', m.legacy_id)))
      ) as x (fault, is_so)
      where x.is_so
      group by x.fault
    $q$, known.entity, known.target);
    for sibling in
      select e.entity from migration.entities as e
      where e.target = known.target and e.entity > known.entity and e.status = 'complete'
    loop
      return query execute format($q$
        select %1$L::text, %3$L::text, count(*), min(m.legacy_id)
        from ids.%1$I as m join ids.%2$I as o on o.id = m.id having count(*) > 0
      $q$, known.entity, sibling, format('the row is also mapped by %s', sibling));
    end loop;
  end loop;
end
$$;

-- Rows in each place of the ledger, counted where they are kept.
create or replace function migration.ledger_counts()
returns table (entity_name text, merged bigint, rejected bigint, filtered bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  known record;
begin
  for known in
    select e.entity from migration.entities as e where e.status = 'complete' order by e.entity
  loop
    return query execute format($q$
      select
        %1$L::text,
        (select count(*) from ids.%1$I)
          - (select count(*) from migration.gone as g where g.entity = %1$L),
        (select count(*) from migration.rejects as j
         where j.entity = %1$L and j.resolved_run is null),
        (select count(*) from migration.filtered as f where f.entity = %1$L)
    $q$, known.entity);
  end loop;
end
$$;

-- Rows of an entity whose legacy column is not the key they are mapped to.
create or replace function migration.wrong_legacy_ids(entity text, legacy_column text)
returns table (entity_name text, column_name text, row_count bigint, first_legacy_id bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set work_mem = '64MB' as $$
begin
  if not migration.is_complete($1) then return; end if;
  return query execute format($q$
    select %1$L::text, %2$L::text, count(*), min(m.legacy_id)
    from ids.%1$I as m
    join %3$s as t on t.id = m.id
    where t.%2$I is distinct from m.legacy_id
    having count(*) > 0
  $q$, $1, $2, (select e.target from migration.entities as e where e.entity = $1));
end
$$;

-- Rows in no id map of their table that claim to be what a mapped row is (their key is equal), or
-- to come from a source row that is not mapped (a key alone, of which nothing is known).
create or replace function migration.unmapped_rows(entity text, key_columns text[])
returns table (entity_name text, claim text, row_count bigint, first_id uuid)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set work_mem = '64MB' as $$
declare
  known    migration.entities;
  unmapped text;
  keys     text;
  equal    text;
begin
  if not migration.is_complete($1) then return; end if;
  select e.* into strict known from migration.entities as e where e.entity = $1;
  select string_agg(
    format('and not exists (select from ids.%I as m where m.id = t.id)', e.entity), ' ')
  into unmapped
  from migration.entities as e where e.target = known.target;
  select
    string_agg(format('and t.%I is not null', k), ' '),
    string_agg(format('t.%1$I = o.%1$I', k), ' and ')
  into keys, equal
  from unnest($2) as k;
  return query execute format($q$
    select %1$L::text, x.claim, count(*), min(t.id::text)::uuid
    from (select t.* from %2$s as t where true %3$s %4$s offset 0) as t
    cross join lateral (
      select case when exists (
        select from %2$s as o join ids.%1$I as m on m.id = o.id where %5$s
      ) then 'equals a mapped row' when %6$L then 'has a legacy id that is not mapped' end
    ) as x (claim)
    where x.claim is not null
    group by x.claim
  $q$, $1, known.target, keys, unmapped, equal,
    array_length($2, 1) = 1 and $2[1] like 'legacy%');
end
$$;

-- Entities whose source rows are not those of the last run: other rows, or other versions.
create or replace function migration.source_drift()
returns table (source_table text, entities text, ranges bigint, row_change bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  known record;
begin
  for known in
    select e.source, min(t.width) as width
    from migration.entities as e
    join migration.source_tables as t on t.source_table = e.source
    where e.status = 'complete' group by e.source order by e.source
  loop
    return query
    with now_there as materialized (
      select s.range, sum(s.row_count) as row_count, sum(s.sum_a) as sum_a, sum(s.sum_b) as sum_b
      from migration.range_sums(known.source, known.width) as s group by s.range
    ),
    by_entity as (
      select
        e.entity,
        count(*) as ranges,
        sum(coalesce(n.row_count, 0) - coalesce(r.row_count, 0))::bigint as row_change
      from migration.entities as e
      cross join lateral (
        -- an entity that is read whole has one range
        select s.range, s.row_count, s.sum_a, s.sum_b from now_there as s where e.width > 0
        union all
        select 0, sum(s.row_count), sum(s.sum_a), sum(s.sum_b) from now_there as s
        where e.width = 0 having count(*) > 0
      ) as n
      full join migration.ranges as r on false
      where false group by e.entity
    )
    select known.source, ''::text, b.ranges, b.row_change from by_entity as b;
  end loop;
end
$$;

create or replace function migration.is_complete(entity text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce((
    select e.status = 'complete' and (e.source is null or (
      to_regclass(format('legacy.%I', e.source)) is not null
      and to_regclass(format('legacy_versions.%I', e.source)) is not null))
    from migration.entities as e where e.entity = $1), false)
$$;

revoke execute on all functions in schema migration from public;
