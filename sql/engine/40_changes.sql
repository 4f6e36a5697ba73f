-- What changed in the source. It is asked over dblink for sums over row versions and contents. What
-- the answers lead to is in the tables sums, newer, seen, contents and affected.

-- What one row adds to the two sums of its range, of key and version (xmin): said once, for the
-- functions of the ledger and for the source, which is asked in plain SQL (range_sums). The key is
-- hashed by itself first: hashint8 folds its halves by xor, and of (key << 32 | xmin) it sees no more
-- than key # xmin, which an update of many rows at once may leave as it was.
create or replace function migration.pair_sums(key text, version text, out a text, out b text)
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select
    format('hashint8(hashint8(%s)::bigint # %s)', key, version),
    format('hashint8(hashint8(%s # 1431655765)::bigint # %s)', key, version)
$$;

do $do$
declare
  pair record;
begin
  select * into strict pair from migration.pair_sums('key', 'version');
  execute format('create or replace function migration.pair_a(key bigint, version bigint)'
    ' returns integer language sql immutable parallel safe return %s', pair.a);
  execute format('create or replace function migration.pair_b(key bigint, version bigint)'
    ' returns integer language sql immutable parallel safe return %s', pair.b);
end
$do$;

-- Which database of which history this is. Versions of two histories have nothing to do with each
-- other: a restored or promoted server gives the same numbers to other rows. Where the reader may
-- not ask, and in 9.5, the start of the server stands in: then every restart is another history.
create or replace function migration.source_identity() returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  version  integer := migration.source_version();
  history  text := $q$select concat_ws('/', pg_postmaster_start_time(), d.oid)$q$;
  allowed  boolean := false;
  identity text;
begin
  if version >= 90600 then
    select a.allowed into allowed
    from extensions.dblink('versions', $q$
      select has_function_privilege('pg_catalog.pg_control_system()', 'execute')
        and has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute')
        and has_function_privilege('pg_catalog.pg_control_recovery()', 'execute')
    $q$) as a (allowed boolean);
  end if;
  if allowed then
    -- after a promotion the control file has the new timeline only from the next checkpoint on
    history := format($q$
      select concat_ws('/', s.system_identifier, greatest(c.timeline_id, case
        when pg_is_in_recovery() then r.min_recovery_end_timeline
        else ('x' || left(%s, 8))::bit(32)::integer end), d.oid)
      from pg_control_system() as s, pg_control_checkpoint() as c, pg_control_recovery() as r,
        pg_database as d
      where d.datname = current_database()
    $q$, case when version >= 100000 then 'pg_walfile_name(pg_current_wal_lsn())'
      else 'pg_xlogfile_name(pg_current_xlog_location())' end);
  else
    history := history || ' from pg_database as d where d.datname = current_database()';
  end if;
  select i.identity into strict identity
  from extensions.dblink('versions', history) as i (identity text);
  return identity;
end
$$;

-- How source tables are defined: ALTER TABLE and ALTER TYPE change what a row says and no version.
create or replace function migration.source_definitions(tables text[])
returns table (source_table text, definition text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  perform migration.connect_versions();
  return query
  select d.source_table, d.definition
  from extensions.dblink('versions', format($q$
    select c.relname::text, md5(concat_ws(' ', c.oid, c.relkind, nullif(n.nspname, 'public'), (
      select string_agg(concat_ws(' ', a.attnum, a.attname,
        format_type(a.atttypid, a.atttypmod), to_jsonb(a) ->> 'attmissingval',
        case when to_jsonb(a) ->> 'attgenerated' <> '' then pg_get_expr(g.adbin, g.adrelid) end,
        (select string_agg(e.enumlabel, ',' order by e.enumsortorder)
         from pg_catalog.pg_enum as e
         join pg_catalog.pg_type as t on e.enumtypid in (t.oid, t.typelem, t.typbasetype)
         where t.oid = a.atttypid)), e'\n' order by a.attnum)
      from pg_catalog.pg_attribute as a
      left join pg_catalog.pg_attrdef as g on g.adrelid = a.attrelid and g.adnum = a.attnum
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)))
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = any (%L::text[])
    where c.relkind in ('r', 'p', 'v', 'm', 'f')
  $q$, migration.source_schemas())) as d (source_table text, definition text)
  where d.source_table = any (tables);
end
$$;

-- Keeps of every source table where it is and how it is defined. Returns the tables of which that is
-- not what was kept.
create or replace function migration.note_definitions(tables text[])
returns table (source_table text, moved boolean, redefined boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  here text := migration.source_identity();
begin
  return query
  with written as (
    update migration.source_tables as t set identity = here, definition = f.definition
    from migration.source_definitions(tables) as f, migration.source_tables as o
    where t.source_table = f.source_table and o.source_table = f.source_table
      and (t.identity, t.definition) is distinct from (here, f.definition)
    returning t.source_table, o.identity <> here as moved, o.definition <> f.definition as redefined
  )
  select w.source_table, w.moved, w.redefined from written as w where w.moved or w.redefined;
end
$$;

-- Asks the source. Questions are queries that return the columns `answer`; those that weigh little are put
-- together, up to 50: one weighs about 10,000 rows. Not more, since dblink cannot be interrupted everywhere
-- before the source answers.
create or replace function migration.ask_source(questions text[], weights bigint[], answer text)
returns setof record
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  together text;
begin
  for together in
    select string_agg(format('(%s)', w.question), ' union all ')
    from (
      select q.question,
        div(sum(q.weight) over (order by q.weight desc, q.place) - q.weight, 50) as part
      from unnest(questions, weights) with ordinality as q (question, weight, place)
    ) as w
    group by w.part order by w.part
  loop
    perform migration.connect_versions();
    return query execute
      format('select d.* from extensions.dblink(''versions'', %L) as d (%s)', together, answer);
  end loop;
end
$$;

-- Smallest and largest key of source tables, and the number of rows; no key where keys are no numbers.
create or replace function migration.source_extents(tables text[])
returns table (source_table text, first_key bigint, last_key bigint, row_count bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  questions text[] := array(
    select format('select %L::text, %s, count(*) from %s', l.source_table,
      case when l.is_number then format('min(%1$I)::bigint, max(%1$I)::bigint', l.key_columns[1])
        else 'null::bigint, null::bigint' end,
      migration.source_name(l.source_table))
    from migration.links as l where l.source_table = any (tables));
begin
  return query
  select d.* from migration.ask_source(questions,
    array_fill(50::bigint, array[cardinality(questions)]),
    'source_table text, first_key bigint, last_key bigint, row_count bigint')
    as d (source_table text, first_key bigint, last_key bigint, row_count bigint);
end
$$;

-- Enters source tables that are seen for the first time, with the width of their ranges: about 10,000 rows;
-- all of a table whose keys are no numbers.
create or replace function migration.enter_tables(tables text[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into migration.source_tables (source_table, width)
  select e.source_table,
    case
      when not l.is_number then 9223372036854775807
      when e.row_count = 0 then 10000
      else greatest(1, ceil(10000.0 * (e.last_key - e.first_key + 1) / e.row_count))::bigint
    end
  from migration.source_extents(array(
      select t from unnest(tables) as t
      where not exists (select from migration.source_tables as s where s.source_table = t)
    )) as e
  join migration.links as l on l.source_table = e.source_table
$$;

-- Parts of source tables, of at most 50 ranges: keys from first_key up to, not including, end_key; one part
-- without keys where they are no numbers. Where the source has an index by the key it goes from each part to the
-- next that has rows, however far that is; else, a view for one, from number to number. ranges: how many, as a weight.
create or replace function migration.table_parts(tables text[])
returns table (source_table text, first_key bigint, end_key bigint, ranges bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  questions text[] := array(
    select format($q$
      select %1$L::text, p.k, (select max(%2$I)::bigint from %3$s), %4$s::bigint from (
        with recursive known (is_indexed) as (
          select exists (
            select from pg_catalog.pg_index as i
            join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
            where i.indrelid = %3$L::regclass and a.attname = %2$L and i.indisvalid and i.indpred is null)
        ),
        part (k) as (
          select min(%2$I)::bigint from %3$s where (select is_indexed from known)
          union all
          select (select min(r.%2$I)::bigint from %3$s as r where r.%2$I >= (p.k / %4$s + 1) * %4$s)
          from part as p where p.k is not null
        )
        select k from part where k is not null
        union all
        select low from (
          select min(%2$I)::bigint as first, max(%2$I)::bigint as last
          from %3$s where not (select is_indexed from known)
        ) as m
        cross join lateral generate_series(least(m.first, m.first / %4$s * %4$s), m.last, %4$s) as low
      ) as p (k)
      $q$, l.source_table, l.key_columns[1], migration.source_name(l.source_table), w.step)
    from migration.links as l
    join migration.source_tables as t on t.source_table = l.source_table
    cross join lateral (select 50 * least(t.width, 1000000000)) as w (step)
    where l.source_table = any (tables) and l.is_number);
  part      record;
begin
  for part in
    select d.*, t.width
    from migration.ask_source(questions, array_fill(1::bigint, array[cardinality(questions)]),
      'source_table text, first_key bigint, last_key bigint, step bigint')
      as d (source_table text, first_key bigint, last_key bigint, step bigint)
    join migration.source_tables as t on t.source_table = d.source_table
  loop
    if part.first_key < 0 then
      raise exception 'the source table % has negative ids', part.source_table
        using hint = 'ranges count from 0: the table cannot be read range by range';
    end if;
    source_table := part.source_table;
    first_key := part.first_key / part.step * part.step;
    end_key := first_key + part.step;
    ranges := (least(part.step - 1, part.last_key - first_key)) / part.width + 1;
    return next;
  end loop;
  return query
  select l.source_table, null::bigint, null::bigint, 50::bigint
  from migration.links as l where l.source_table = any (tables) and not l.is_number;
end
$$;

-- Rows of a source table with their key as `v`, as the source is asked; %s is a list of more columns over r. Of
-- numbers those from low up to, not including, high: the range reaches an index.
create or replace function migration.source_rows(
  source_table text, more text, low bigint, high bigint)
returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  -- a row without a key is a row: what it means is not said here
  select format(case when l.is_number then 'select (%s)::bigint as v, %s from %s as r%s'
      else 'select coalesce((%s)::bigint, 0) as v, %s from %s as r' end,
    migration.key_of(source_table, 'r'), more, migration.source_name(source_table),
    format(' where r.%1$I >= %2$s and r.%1$I < %3$s', l.key_columns[1], low, high))
  from migration.links as l where l.source_table = source_rows.source_table
$$;

-- Row versions of source tables: per key range the number of rows and two sums over (key, xmin),
-- as pair_a and pair_b have them. Every insert and update gives a row a new xmin, so equal sums mean
-- equal rows. xmin is counted back from the latest transaction, which is cheaper than its text; transactions
-- older than all (1 and 2) have no age. Rows without versions are known by what they say.
-- listing: with keys and versions of the rows that look newer than what the entities have read; none
-- where these are more than a fifth of a range, which is cheaper to compare whole. A range may come in two parts.
create or replace function migration.ask_sums(tables text[], listing boolean)
returns table (source_table text, range bigint, row_count bigint, sum_a numeric, sum_b numeric,
  keys bigint[], versions bigint[])
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  questions text[];
  weights   bigint[];
begin
  select coalesce(array_agg(format(
      'select %L::text, v / %s, count(*), sum(%s), sum(%s), %s'
      ' from (select age(''3''::xid)::bigint + 3 as latest, age(''%s''::xid) as since offset 0) as c'
      ' cross join lateral (%s offset 0) as s group by 2',
      p.source_table, t.width, x.a, x.b,
      case when h.since is null then 'null::bigint[], null::bigint[]'
        else 'case when count(*) filter (where n) * 5 <= count(*) then array_agg(v) filter (where n) end,'
          ' case when count(*) filter (where n) * 5 <= count(*) then array_agg(x) filter (where n) end' end,
      coalesce(h.since, 3),
      migration.source_rows(p.source_table, concat(
        case when l.has_versions then
          'case when age(r.xmin) = 2147483647 then r.xmin::text::bigint'
          ' else (c.latest - age(r.xmin)) & 4294967295 end as x' else '0::bigint as x' end,
        case when h.since is not null then ', age(r.xmin) <= c.since as n' end),
        p.first_key, p.end_key))), '{}'),
    coalesce(array_agg(p.ranges), '{}')
  into questions, weights
  from migration.table_parts(tables) as p
  join migration.source_tables as t on t.source_table = p.source_table
  join migration.links as l on l.source_table = p.source_table
  left join (
    select e.source, min(e.horizon) & 4294967295 as since
    from migration.entities as e
    where listing and e.width > 0 and e.horizon is not null
    group by e.source
  ) as h on h.source = p.source_table and l.is_number and l.has_versions
  cross join migration.pair_sums('v', 'x') as x;
  return query
  select d.*
  from migration.ask_source(questions, weights, 'source_table text, range bigint, row_count bigint,'
    ' sum_a numeric, sum_b numeric, keys bigint[], versions bigint[]')
    as d (source_table text, range bigint, row_count bigint, sum_a numeric, sum_b numeric,
      keys bigint[], versions bigint[]);
end
$$;

-- The sums alone, of whole ranges.
create or replace function migration.range_sums(tables text[])
returns table (source_table text, range bigint, row_count bigint, sum_a numeric, sum_b numeric)
language sql set search_path = pg_catalog, pg_temp as $$
  select d.source_table, d.range, sum(d.row_count)::bigint, sum(d.sum_a), sum(d.sum_b)
  from migration.ask_sums(tables, false) as d
  group by d.source_table, d.range
$$;

-- Oldest transaction that is open in the source: what changes from now on is not older.
create or replace function migration.source_horizon() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  perform migration.connect_versions();
  return (
    select d.horizon
    from extensions.dblink('versions', 'select txid_snapshot_xmin(txid_current_snapshot())')
      as d (horizon bigint)
  );
end
$$;

-- Content of some columns of source tables, by ranges of a fiftieth of the table's width: number of rows
-- and two sums; of each table and list of columns that migration.seen asks for.
create or replace function migration.content_sums()
returns table (
  source_table text, columns text[], range bigint, row_count bigint, sum_a numeric, sum_b numeric)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  questions text[];
  weights   bigint[];
begin
  with asked as materialized (
    select distinct n.source_table, n.columns from migration.seen as n where n.taken
  ),
  parts as materialized (
    select p.* from migration.table_parts(
      array(select distinct a.source_table from asked as a)) as p
  )
  select
    coalesce(array_agg(format(
      'select %L::text, %L::text[], v / %s, count(*), sum(hashtext(k)), sum(hashtext(k || ''#''))'
      ' from (%s offset 0) as s group by 3',
      p.source_table, a.columns, migration.lookup_width(p.source_table),
      migration.source_rows(p.source_table, format('(row(%s))::text as k',
        migration.prefixed('r', array(select c from unnest(a.columns) as c order by c))),
        p.first_key, p.end_key))), '{}'),
    coalesce(array_agg(2 * p.ranges), '{}')
  into questions, weights
  from parts as p join asked as a on a.source_table = p.source_table;
  return query
  select d.source_table, d.columns, d.range, sum(d.row_count)::bigint, sum(d.sum_a), sum(d.sum_b)
  from migration.ask_source(questions, weights, 'source_table text, columns text[], range bigint,'
    ' row_count bigint, sum_a numeric, sum_b numeric')
    as d (source_table text, columns text[], range bigint, row_count bigint, sum_a numeric, sum_b numeric)
  group by d.source_table, d.columns, d.range;
end
$$;

-- Keys per range of content_sums.
create or replace function migration.lookup_width(source_table text) returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select greatest(1, t.width / 50) from migration.source_tables as t
  where t.source_table = lookup_width.source_table
$$;

-- Takes the sums of every source table of the catalog, before the first foreign read; chooses the
-- width of a table (about 10,000 rows a range) the first time it is seen, and keeps where it is and
-- how it is defined. The rows that look newer than what has been read are listed in migration.newer.
-- Returns what makes versions incomparable. The link is open.
create or replace function migration.take_sums(tables text[], run bigint)
returns table (source_table text, moved boolean, redefined boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  update migration.runs as r set horizon = migration.source_horizon() where r.run = take_sums.run;
  perform migration.enter_tables(tables);
  delete from migration.sums;
  delete from migration.newer;
  with answers as materialized (
    select d.* from migration.ask_sums(tables, true) as d
  ),
  listed as (
    insert into migration.newer (source_table, id, version)
    select d.source_table, n.id, n.version
    from answers as d cross join lateral unnest(d.keys, d.versions) as n (id, version)
  )
  insert into migration.sums (source_table, range, row_count, sum_a, sum_b)
  select d.source_table, d.range, sum(d.row_count)::bigint, sum(d.sum_a), sum(d.sum_b)
  from answers as d group by d.source_table, d.range;
  analyze migration.newer;
  return query
  select n.source_table, n.moved, n.redefined from migration.note_definitions(tables) as n order by 1;
end
$$;

-- Says of every entity what it sees of the tables it looks things up in (and of its driving table
-- where the view reads that twice), in migration.seen. Equal row versions: as before. Otherwise the
-- content of the columns the view uses decides, taken before anything is read; where rows changed
-- while the entity was read the last time, content proves nothing and a new mark makes it another.
-- Rows that changed look-ups lead to are listed in migration.affected. The link is open.
create or replace function migration.take_lookups(run bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  name text;
begin
  delete from migration.seen;
  delete from migration.contents;
  delete from migration.affected;
  insert into migration.seen (entity, source_table, followed, columns, version_digest)
  -- step by step: the text of a view is asked for once
  with uses as materialized (
    select e.entity, u."table" as source_table, u.followed,
      to_regclass(concat('transform.', quote_ident(e.entity))) as view,
      to_regclass(concat('legacy.', quote_ident(u."table"))) as source
    from migration.entities as e
    cross join lateral jsonb_to_recordset(e.lookups) as u ("table" text, followed boolean)
    where e.position is not null
  ),
  views as materialized (
    -- a whole row is no dependency on its columns
    select u.view, pg_get_viewdef(u.view) ~ '[.][*]' as reads_rows
    from (select distinct n.view from uses as n) as u
    where u.view is not null
  ),
  used as materialized (
    select v.view, d.refobjid as source, array_agg(distinct a.attname::text) as columns
    from views as v
    join pg_rewrite as w on w.ev_class = v.view
    join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
      and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
    join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    group by v.view, d.refobjid
  ),
  whole as materialized (
    select a.attrelid as source, array_agg(a.attname::text order by a.attname::text) as columns
    from pg_attribute as a
    where a.attrelid in (select u.source from uses as u) and a.attnum > 0 and not a.attisdropped
    group by a.attrelid
  ),
  totals as materialized (
    select n.source_table, sum(n.row_count) as rows, sum(n.sum_a) as a, sum(n.sum_b) as b
    from migration.sums as n group by n.source_table
  )
  select u.entity, u.source_table, u.followed,
    coalesce(case when v.reads_rows then w.columns else c.columns end, '{}'),
    concat_ws(':', coalesce(s.rows, 0), coalesce(s.a, 0), coalesce(s.b, 0), k.identity, k.definition)
  from uses as u
  join views as v on v.view = u.view
  join whole as w on w.source = u.source
  join migration.source_tables as k on k.source_table = u.source_table
  left join used as c on c.view = u.view and c.source = u.source
  left join totals as s on s.source_table = u.source_table;
  update migration.seen as n set content_digest = l.content_digest
  from migration.lookups as l
  where (l.entity, l.source_table) = (n.entity, n.source_table)
    and (l.version_digest, l.columns) = (n.version_digest, n.columns::text);
  -- a run that was interrupted has read them: they are as they were before it
  update migration.lookups as l set settled = true
  from migration.seen as n
  where (l.entity, l.source_table) = (n.entity, n.source_table) and not l.settled
    and (l.version_digest, l.columns) = (n.version_digest, n.columns::text);
  -- of the others nobody knows what that run read: there is nothing to follow from
  update migration.lookups as l set reached = null where not l.settled and l.version_digest <> '';
  update migration.seen as n set taken = true
  where n.content_digest is null or n.followed and not exists (
    select from migration.lookups as l
    where (l.entity, l.source_table) = (n.entity, n.source_table)
      and l.reached = n.content_digest);
  insert into migration.contents (source_table, columns, range, row_count, sum_a, sum_b)
  select c.* from migration.content_sums() as c;
  update migration.seen as n
  set content_digest = concat((
    select concat_ws(':', count(*), sum(c.row_count), sum(c.sum_a), sum(c.sum_b))
    from migration.contents as c
    where (c.source_table, c.columns) = (n.source_table, n.columns)
  ), (
    select case when l.settled then substring(l.content_digest from ' run .*')
      else concat(' run ', take_lookups.run) end
    from migration.lookups as l
    where (l.entity, l.source_table) = (n.entity, n.source_table)
  ))
  where n.content_digest is null;
  -- touched, but not in what the view uses
  update migration.lookups as l set version_digest = n.version_digest
  from migration.seen as n
  where (l.entity, l.source_table) = (n.entity, n.source_table) and l.settled
    and (l.content_digest, l.columns) = (n.content_digest, n.columns::text)
    and l.version_digest <> n.version_digest;
  for name in
    select distinct n.entity from migration.seen as n
    join migration.lookups as l on (l.entity, l.source_table) = (n.entity, n.source_table)
    where n.followed and l.reached <> n.content_digest
  loop
    perform migration.follow_lookups(name);
  end loop;
end
$$;

-- Lists in migration.affected the rows of an entity that changed ranges of its look-ups lead to.
-- Where these are too many, it is compared whole: there is nothing to follow from any more.
create or replace function migration.follow_lookups(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off set enable_mergejoin = off as $$
#variable_conflict use_variable
declare
  -- share of a look-up's ranges, or of an entity's rows, that is followed
  share    constant numeric := 0.25;
  known    migration.entities;
  change   record;
  path     jsonb;
  last     integer;
  too_many boolean := false;
begin
  select e.* into strict known from migration.entities as e where e.entity = name;
  for change in
    select n.source_table, migration.lookup_width(n.source_table) as width, d.ranges, d.filled,
      (select count(*) from migration.contents as c
       where (c.source_table, c.columns) = (n.source_table, n.columns)) as total
    from migration.seen as n
    join migration.lookups as l on (l.entity, l.source_table) = (n.entity, n.source_table)
    cross join lateral (
      select coalesce(array_agg(coalesce(c.range, r.range)), '{}') as ranges,
        -- in which there are rows, or were when it was known
        count(*) filter (where c.row_count > 0 or r.row_count > 0) as filled
      from (
        select * from migration.contents as c
        where (c.source_table, c.columns) = (n.source_table, n.columns)
      ) as c
      full join (
        select * from migration.lookup_ranges as r
        where (r.entity, r.source_table) = (n.entity, n.source_table)
      ) as r on r.range = c.range
      where (c.row_count, c.sum_a, c.sum_b) is distinct from (r.row_count, r.sum_a, r.sum_b)
    ) as d
    where n.entity = name and n.followed and l.reached <> n.content_digest
  loop
    too_many := too_many or change.filled > share * change.total + 4;
    exit when too_many;
    select u.path into path from jsonb_to_recordset(known.lookups) as u ("table" text, path jsonb)
    where u."table" = change.source_table;
    last := jsonb_array_length(path) - 1;
    execute format(
      'insert into migration.affected (entity, legacy_key)'
      ' select %L, %s from legacy.%I as t0 %s where %s on conflict do nothing',
      name, migration.key_of(known.source, 't0'), known.source,
      (select string_agg(format('join legacy.%I as t%s on %s = t%s.%I',
          path -> i ->> 'table', i, migration.key_of(path -> i ->> 'table', format('t%s', i)), i - 1,
          path -> (i - 1) ->> 'column'), ' ' order by i)
       from generate_series(1, last) as i),
      coalesce((
        select string_agg(format('(t%1$s.%2$I >= %3$s and t%1$s.%2$I < %4$s)',
          last, path -> last ->> 'column', p.first_key, p.end_key), ' or ')
        from migration.intervals(change.ranges, change.width) as p), 'false'));
  end loop;
  if too_many or (select count(*) from migration.affected as a where a.entity = name) > share * (
    select sum(s.row_count) from migration.sums as s where s.source_table = known.source)
  then
    delete from migration.affected as a where a.entity = name;
    update migration.lookups as l set reached = null where l.entity = name;
  end if;
end
$$;

-- Before an entity is read: what it is going to see is not settled until it has been read.
create or replace function migration.enter_lookups(name text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  delete from migration.lookups as l where l.entity = name and not exists (
    select from migration.seen as n
    where (n.entity, n.source_table) = (l.entity, l.source_table));
  insert into migration.lookups
    (entity, source_table, columns, version_digest, content_digest, settled)
  select n.entity, n.source_table, n.columns::text, n.version_digest, n.content_digest, false
  from migration.seen as n where n.entity = name
  on conflict (entity, source_table) do update set columns = excluded.columns,
    version_digest = excluded.version_digest, content_digest = excluded.content_digest,
    settled = false;
$$;

-- All ranges of an entity are where its followed look-ups are now: the next change is followed from
-- here. `settled`: nothing was read, so it does not matter whether they have changed since.
create or replace function migration.reach_lookups(name text, now_seen text, is_settled boolean)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  if now_seen = '' then return; end if;
  update migration.ranges as r set seen = now_seen where r.entity = name and r.seen <> now_seen;
  insert into migration.lookups
    (entity, source_table, columns, version_digest, content_digest, settled, reached)
  select n.entity, n.source_table, n.columns::text, n.version_digest, n.content_digest, is_settled,
    n.content_digest
  from migration.seen as n where n.entity = name and n.followed
  on conflict (entity, source_table) do update set columns = excluded.columns,
    version_digest = excluded.version_digest, content_digest = excluded.content_digest,
    settled = excluded.settled, reached = excluded.reached;
  delete from migration.lookup_ranges as r using migration.seen as n
  where r.entity = name and n.entity = name and n.source_table = r.source_table and n.taken;
  insert into migration.lookup_ranges (entity, source_table, range, row_count, sum_a, sum_b)
  select n.entity, n.source_table, c.range, c.row_count, c.sum_a, c.sum_b
  from migration.seen as n
  join migration.contents as c on (c.source_table, c.columns) = (n.source_table, n.columns)
  where n.entity = name and n.followed and n.taken;
end
$$;

-- After entities were read: settled where no row of the look-up has changed since the sums were taken.
-- What has changed may be back when the next run looks: it is a change all the same, and ranges of
-- its content are entered as unknown, also where they have no rows: a count of -1 is another than
-- any the next run finds. The link is open.
create or replace function migration.settle_lookups(names text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  drop table if exists pg_temp.moved;
  create temporary table moved as
  with asked as materialized (
    select distinct l.source_table from migration.lookups as l where l.entity = any (names)
  ),
  now as materialized (
    select r.* from migration.range_sums(array(select a.source_table from asked as a)) as r
  )
  select coalesce(o.source_table, s.source_table) as source_table, coalesce(o.range, s.range) as range,
    t.width
  from (select n.* from migration.sums as n where n.source_table in (select a.source_table from asked as a)) as s
  full join now as o on o.source_table = s.source_table and o.range = s.range
  join migration.source_tables as t on t.source_table = coalesce(o.source_table, s.source_table)
  where (o.row_count, o.sum_a, o.sum_b) is distinct from (s.row_count, s.sum_a, s.sum_b);
  update migration.lookups as l
  set settled = not m.moved, version_digest = case when m.moved then '' else l.version_digest end
  from (
    select o.source_table, exists (
      select from pg_temp.moved as m where m.source_table = o.source_table) as moved
    from migration.source_tables as o
  ) as m
  where l.entity = any (names) and l.source_table = m.source_table;
  insert into migration.lookup_ranges (entity, source_table, range, row_count, sum_a, sum_b)
  select distinct l.entity, l.source_table, c.range, -1, 0, 0
  from pg_temp.moved as m
  join migration.lookups as l on l.entity = any (names) and l.source_table = m.source_table
  cross join migration.lookup_width(m.source_table) as w
  cross join generate_series(m.range * m.width / w, ((m.range + 1) * m.width - 1) / w) as c (range)
  where l.reached is not null
  on conflict (entity, source_table, range) do update set row_count = excluded.row_count;
end
$$;

-- Key intervals [first_key, end_key) that cover ranges, neighbours joined.
create or replace function migration.intervals(ranges bigint[], width bigint)
returns table (first_key bigint, end_key bigint)
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select min(n.range) * width, (max(n.range) + 1) * width
  from (
    select r.range, r.range - row_number() over (order by r.range) as island
    from (select distinct unnest(ranges) as range) as r
  ) as n
  group by n.island order by 1
$$;
