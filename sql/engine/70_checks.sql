-- Helper functions of checks/*.sql: what needs dynamic SQL (all id maps, all foreign keys), and
-- the comparison of source and target. None of them writes.
--
-- Source and target are compared through the id maps, and only where the source row still has the
-- version the ledger holds: what changed in the source since the last run is not an error of the
-- migration (check source_drift lists it).
-- Nested loops are off: foreign tables have no statistics, and one on 700,000 rows never ends. Merge
-- joins are off: the source may sort texts another way, and partners would be lost.

-- a function whose result has changed cannot be replaced
drop function if exists
  migration.money_differences,
  migration.differing_values,
  migration.wrong_references,
  migration.foreign_key_faults,
  migration.id_map_faults,
  migration.ledger_counts,
  migration.wrong_legacy_ids,
  migration.unmapped_rows,
  migration.source_drift,
  migration.archive_differences;

-- What the files define, {"entity": "phase"}, from the setting migration.entities; null without it.
create or replace function migration.defined_entities() returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select nullif(current_setting('migration.entities', true), '')::jsonb
$$;

-- Whether all of an entity is written: also of the phase in the setting migration.ending, whose entities
-- are, and which is complete when its data checks have passed.
create or replace function migration.is_written(known migration.entities) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select known.status = 'complete'
    or known.status = 'partial' and known.phase = coalesce(current_setting('migration.ending', true), '')
$$;

-- The checks look at an entity when it is written, readable through the link where it has a
-- source, and of the phase in the setting migration.phase, should a phase be named there: then an
-- entity of it that cannot be looked at is an error, since a check that sees nothing would pass.
-- What the ledger remembers of files that are no more is looked at where that is possible.
create or replace function migration.is_looked_at(known migration.entities) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  of_phase text := nullif(current_setting('migration.phase', true), '');
  fault    text := case
    when not migration.is_written(known) then format('it is %s', known.status)
    when known.source is not null and (
      to_regclass(format('legacy.%I', known.source)) is null
      or to_regclass(format('legacy_versions.%I', known.source)) is null)
      then format('its source table %s is not in the link', known.source)
    else null
  end;
begin
  if of_phase <> known.phase then return false; end if;
  if of_phase is not null and fault is not null
    and coalesce(migration.defined_entities() ? known.entity, true)
  then
    raise exception '% cannot be checked: %', known.entity, fault
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  return fault is null;
end
$$;

-- The same for an entity that a check names: there must be one. Without the setting
-- migration.entities the ledger says which there are.
create or replace function migration.is_checked(entity text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  defined jsonb := migration.defined_entities();
  known   migration.entities;
  is_new  boolean;
begin
  select e.* into known from migration.entities as e where e.entity = $1;
  is_new := not found;
  if not coalesce(defined ? $1, not is_new) then
    raise exception 'there is no entity %', $1
      using errcode = 'undefined_object',
        hint = 'no file in the folders of sql/ defines it: correct its name in the check';
  end if;
  if not is_new then return migration.is_looked_at(known); end if;
  if defined ->> $1 = current_setting('migration.phase', true) then
    raise exception '% cannot be checked: it is not in the ledger', $1
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  return false;
end
$$;

-- What one comparison of an entity joins and asks, over s (the source row), m (its entry in the id
-- map) and t (the target row or NULL): true where the row has to be looked at further. Its alias of the
-- n-th id map is <prefix><n>.
create or replace function migration.comparison(
  kind text, compared text[], prefix text, out joins text, out differs text)
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select
    string_agg(
      case kind when 'references' then
        format('left join ids.%1$I as %2$s%3$s on %2$s%3$s.legacy_id = (%4$s)::bigint',
          compared[i][3], prefix, i, compared[i][1])
      end, ' ' order by i),
    concat_ws(' and ', case kind when 'references' then 't.id is not null' end,
      concat('(', string_agg(
        case kind
          when 'references' then format('(%s) is distinct from %s%s.id', compared[i][2], prefix, i)
          when 'amounts' then
            format('(%s)::numeric is distinct from (%s)::numeric', compared[i][1], compared[i][2])
          else format('(%s) is distinct from (%s)', compared[i][1], compared[i][2])
        end, ' or ' order by i), ')'))
  from generate_subscripts(compared, 1) as i
$$;

-- SQL that is true where the entry m of an id map has another id than follows from entity and key.
create or replace function migration.another_id(entity text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select format('not m.adopted and m.id <> extensions.uuid_generate_v5('
    '''6ba7b810-9dad-11d1-80b4-00c04fd430c8'', %L || '':'' || m.legacy_id::text)', entity)
$$;

-- The same of what id map and target alone can tell: true over all entries where there is nothing to look
-- at further. NULL: it is about the source row.
create or replace function migration.id_comparison(kind text, entity text, target text, compared text[])
returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case kind
    when 'stored' then 'count(*) = count(t.id)'
    when 'derived' then format('not coalesce(bool_or(%s), false)', migration.another_id(entity))
    when 'legacy_ids' then
      format('not coalesce(bool_or(t.id is not null and t.%I is distinct from m.legacy_id), false)', compared[1][1])
    when 'mapped' then format('count(t.id) = (select count(*) from %s)', target)
  end
$$;

create or replace function migration.is_asked() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(current_setting('migration.asked', true), '') <> ''
$$;

-- The comparisons of an entity, whichever check asks for them, are answered by one reading of its id map,
-- target and source rows: migration.entity_comparisons has the checks ask first (setting migration.asked; they get no
-- rows), reads every entity once, and notes which comparisons found every row equal (setting
-- migration.equal). The others read again, and say what differs.
create or replace function migration.is_settled(kind text, entity text, compared text[])
returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  key text := md5(concat_ws(' ', kind, entity, compared));
begin
  if not migration.is_asked() then
    return key = any (string_to_array(current_setting('migration.equal', true), ','));
  end if;
  -- the list of an array, as text: parsed once, at its end
  perform set_config('migration.asked', concat(current_setting('migration.asked'), ',', jsonb_build_object(
    'kind', kind, 'entity', entity, 'compared', compared, 'key', key)), true);
  return true;
end
$$;

-- Keys of the comparisons (as migration.is_settled notes them) that find every row of the entity equal;
-- with keys only these source rows, and those of them that are still as they were read. Entries of the
-- id map lead: they are looked at also where their source row is gone. The source is read where it is asked for.
create or replace function migration.equal_comparisons(
  entity text, comparisons jsonb, keys bigint[] default null)
returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
declare
  known   migration.entities;
  key     text;
  joins   text;
  answers text;
  ids     uuid[];
  equal   text[];
begin
  if not migration.is_checked($1) then return '{}'; end if;
  select e.* into strict known from migration.entities as e where e.entity = $1;
  key := migration.key_of(known.source, 's');
  -- with these the indexes of id map and target are used
  if keys is not null then
    execute format('select array(select m.id from ids.%I as m where m.legacy_id = any ($1))', $1)
    into ids using keys;
  end if;
  with asked as (
    select c.position, c.value ->> 'key' as answer, o.joins, o.differs,
      migration.id_comparison(c.value ->> 'kind', $1, known.target, a.compared) as holds
    from jsonb_array_elements(comparisons) with ordinality as c (value, position)
    cross join lateral (
      select array(
        select array[v ->> 0, v ->> 1, v ->> 2] from jsonb_array_elements(c.value -> 'compared') as v)
    ) as a (compared)
    cross join lateral migration.comparison(
      c.value ->> 'kind', a.compared, format('a%s_', c.position)) as o
  )
  select
    concat_ws(' ',
      case when bool_or(a.holds is null) then
        format('left join legacy.%I as s on m.legacy_id = %s', known.source, key) end,
      format('left join %s as t on t.id = m.id and ($2 is null or t.id = any ($2))', known.target),
      string_agg(a.joins, ' ' order by a.position)),
    string_agg(format('case when %s then %L end', coalesce(a.holds,
        format('not coalesce(bool_or(%s is not null and %s), false)', key, a.differs)), a.answer),
      ', ' order by a.position)
  into joins, answers
  from asked as a;
  execute format($q$
    select array_remove(array[%2$s], null) from ids.%1$I as m %3$s %4$s
  $q$, $1, answers, joins, case when keys is not null then format($q$
    join legacy_versions.%2$I as v on v.id = %3$s and v.version = m.version
    where %3$s = any ($1) and v.id = any ($1) and m.legacy_id = any ($1) and not exists (
      select from migration.conflicts as c
      where c.entity = %1$L and c.legacy_id = %3$s and c.resolution = 'target')
  $q$, $1, known.source, key) end)
  into equal using keys, ids;
  return equal;
end
$$;

-- The comparisons that these checks ask for, [{kind, entity, compared, key}]. What cannot be asked is
-- not among them: the check itself says why.
create or replace function migration.asked_comparisons(checks jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  query text;
  asked jsonb;
begin
  perform set_config('migration.asked', '[null', true);
  for query in
    select c.value ->> 'text' from jsonb_array_elements(checks) as c (value)
    where (c.value -> 'asks')::boolean
  loop
    begin
      perform set_config('transaction_read_only', 'on', true);
      execute query;
    exception when others then null;
    end;
  end loop;
  asked := concat(current_setting('migration.asked'), ']')::jsonb - 0;
  perform set_config('migration.asked', '', true);
  return asked;
end
$$;

-- The same by entity, of the phase that is looked at; those with the most rows first.
create or replace function migration.entity_comparisons(checks jsonb)
returns table (entity text, comparisons jsonb, rows bigint)
language sql set search_path = pg_catalog, pg_temp as $$
  select c.value ->> 'entity', jsonb_agg(c.value), coalesce(max(r.rows), 0)::bigint
  from jsonb_array_elements(migration.asked_comparisons(checks)) as c (value)
  left join migration.entities as e on e.entity = c.value ->> 'entity'
  left join (
    select r.entity, sum(r.source_rows) as rows from migration.ranges as r group by r.entity
  ) as r on r.entity = e.entity
  where coalesce(current_setting('migration.phase', true), '') in ('', e.phase)
  group by 1
  order by max(r.rows) desc nulls last, 1
$$;

-- Keys of the comparisons of an entity that are settled. What cannot be read is not.
create or replace function migration.settled_comparisons(entity text, comparisons jsonb)
returns text[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return migration.equal_comparisons(entity, comparisons);
exception
  when sqlclient_unable_to_establish_sqlconnection then raise;
  when others then return '{}';
end
$$;

-- Whether the rows of an entity that this run wrote pass the comparisons of the checks: what a run that
-- brings little looks at. What cannot be compared does not pass; the checks say why.
create or replace function migration.is_written_right(entity text, comparisons jsonb)
returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  keys bigint[];
begin
  if not migration.is_checked($1) or not exists (
    select from migration.control as c
    where c.run = migration.current_run() and c.entity = $1 and c.rows_read > 0)
  then
    return true;
  end if;
  execute format('select array(select m.legacy_id from ids.%I as m where m.run = $1)', $1)
  into keys using migration.current_run();
  return keys = '{}'
    or jsonb_array_length(comparisons) = cardinality(migration.equal_comparisons($1, comparisons, keys));
exception
  when sqlclient_unable_to_establish_sqlconnection or query_canceled then raise;
  when others then return false;
end
$$;

-- The same of all entities of the phase that is looked at.
create or replace function migration.are_written_right(checks jsonb) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  part record;
begin
  for part in select c.entity, c.comparisons from migration.entity_comparisons(checks) as c loop
    if not migration.is_written_right(part.entity, part.comparisons) then return false; end if;
  end loop;
  return true;
end
$$;

-- Amounts per group (status and year, say) that are not equal: source = target + rejected, where
-- rejected are the source rows kept with the rejects. Pairs and groups are expressions over s, the
-- source row, and t, the target row. Where all stored rows have equal amounts and groups, only the
-- rejects are left to add up.
create or replace function migration.money_differences(
  entity text, pairs text[], source_group text default null, target_group text default null)
returns table (
  entity_name text, column_name text, in_group text,
  source_rows bigint, target_rows bigint, rejected_rows bigint,
  source_total numeric, target_total numeric, rejected_total numeric)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
declare
  known      migration.entities;
  settled    boolean := migration.is_settled('amounts', $1, $2)
    and migration.is_settled('values', $1, array[[coalesce($3, 'null'), coalesce($4, 'null')]]);
  rejected   bigint[];
  both_sides text;
  rejects    text;
begin
  if migration.is_asked() or not migration.is_checked($1) then return; end if;
  rejected := array(
    select j.legacy_id from migration.rejects as j where j.entity = $1 and j.resolved_run is null);
  if settled and rejected = '{}' then return; end if;
  select e.* into strict known from migration.entities as e where e.entity = $1;
  select
    string_agg(format(
      $q$('source', %1$L, (%2$s)::text, (%3$s)::numeric, true),
         ('target', %1$L, (%4$s)::text, (%1$s)::numeric, k.is_merged)$q$,
      $2[i][2], coalesce($3, 'null'), $2[i][1], coalesce($4, 'null')), ', '),
    string_agg(format(
      $q$('rejected', %1$L, (%2$s)::text, (%3$s)::numeric)$q$,
      $2[i][2], coalesce($3, 'null'), $2[i][1]), ', ')
  into both_sides, rejects
  from generate_subscripts($2, 1) as i;
  return query execute format($q$
    with ledger as (
      select m.legacy_id, m.id, m.version, true as is_merged
      from ids.%1$I as m
      where not $1
        and not exists (
          select from migration.gone as g
          where g.entity = %1$L and g.legacy_id = m.legacy_id)
        and not exists (
          select from migration.conflicts as c
          where c.entity = %1$L and c.legacy_id = m.legacy_id and c.resolution = 'target')
      union all
      select j.legacy_id, null, j.version, false
      from migration.rejects as j
      where j.entity = %1$L and j.resolved_run is null
    ),
    amounts as (
      select x.side, x.column_name, x.in_group, x.value
      from legacy.%2$I as s
      join legacy_versions.%2$I as v on v.id = %6$s
      join ledger as k on k.legacy_id = %6$s and k.version = v.version
      left join %3$s as t on t.id = k.id
      cross join lateral (values %4$s) as x (side, column_name, in_group, value, counts)
      where x.counts and (not $1 or %6$s = any ($2) and v.id = any ($2))
      union all
      select x.side, x.column_name, x.in_group, x.value
      from (
        select r.* from migration.rejects as j
        join legacy_versions.%2$I as v on v.id = j.legacy_id and v.version = j.version
        cross join lateral jsonb_populate_record(null::legacy.%2$I, j.source_row) as r
        where j.entity = %1$L and j.resolved_run is null
      ) as s
      cross join lateral (values %5$s) as x (side, column_name, in_group, value)
    ),
    totals as (
      select
        %1$L::text, a.column_name, a.in_group,
        count(a.value) filter (where a.side = 'source')   as source_rows,
        count(a.value) filter (where a.side = 'target')   as target_rows,
        count(a.value) filter (where a.side = 'rejected') as rejected_rows,
        coalesce(sum(a.value) filter (where a.side = 'source'), 0)   as source_total,
        coalesce(sum(a.value) filter (where a.side = 'target'), 0)   as target_total,
        coalesce(sum(a.value) filter (where a.side = 'rejected'), 0) as rejected_total
      from amounts as a
      group by a.column_name, a.in_group
    )
    select s.* from totals as s
    where $3
      or s.source_rows <> s.target_rows + s.rejected_rows
      or s.source_total <> s.target_total + s.rejected_total
  $q$, $1, known.source, known.target, both_sides, rejects, migration.key_of(known.source, 's'))
  using settled, rejected, current_setting('migration.totals', true) is not distinct from 'all';
end
$$;

-- Values that are not those of the source, row by row. Pairs are expressions of one type over s,
-- the source row, and t, the target row. Equal rows make equal counts, sums and checksums, so
-- only the others are looked at further: whether the ledger holds this version of the source row,
-- and whether the row was left to the application.
create or replace function migration.differing_values(entity text, pairs text[])
returns table (column_name text, legacy_id bigint, source_value text, target_value text)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
declare
  known   migration.entities;
  columns text;
  differs text;
  sides   text;
begin
  if migration.is_settled('values', $1, $2) or not migration.is_checked($1) then return; end if;
  select e.* into strict known from migration.entities as e where e.entity = $1;
  select
    string_agg(format('%s as s%s, %s as t%s', $2[i][1], i, $2[i][2], i), ', '),
    string_agg(format('(%L, d.s%s::text, d.t%s::text)', $2[i][2], i, i), ', ')
  into columns, sides
  from generate_subscripts($2, 1) as i;
  select o.differs into differs from migration.comparison('values', $2, '') as o;
  return query execute format($q$
    with differing as materialized (
      select m.legacy_id, m.version, %4$s
      from legacy.%2$I as s
      join ids.%1$I as m on m.legacy_id = %7$s
      left join %3$s as t on t.id = m.id
      where %5$s
    )
    select x.column_name, d.legacy_id, x.source_value, x.target_value
    from differing as d
    join legacy_versions.%2$I as v on v.id = d.legacy_id and v.version = d.version
    cross join lateral (values %6$s) as x (column_name, source_value, target_value)
    where x.source_value is distinct from x.target_value
      and not exists (
        select from migration.gone as g
        where g.entity = %1$L and g.legacy_id = d.legacy_id)
      and not exists (
        select from migration.conflicts as c
        where c.entity = %1$L and c.legacy_id = d.legacy_id and c.resolution = 'target')
  $q$, $1, known.source, known.target, columns, differs, sides,
    migration.key_of(known.source, 's'));
end
$$;

-- References that do not lead where the source says. Each is (raw legacy id, reference, id map);
-- the first two are expressions over s, the source row, and t, the target row. NULL is right
-- where the map had nothing when the row was read: the id map of the entity names it then.
create or replace function migration.wrong_references(entity text, referring text[])
returns table (column_name text, id_map text, row_count bigint, first_legacy_id bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
declare
  known    migration.entities;
  joins    text;
  wrong    text;
  columns  text;
  verdicts text;
begin
  if migration.is_settled('references', $1, $2) or not migration.is_checked($1) then return; end if;
  select e.* into strict known from migration.entities as e where e.entity = $1;
  select
    string_agg(format(
      $q$(%1$s) is distinct from a%3$s.id and not ((%1$s) is null
        and coalesce(%2$L = any (string_to_array(m.missing, ',')), false)) as is_wrong%3$s$q$,
      $2[i][2], $2[i][3], i), ', ' order by i),
    string_agg(format('(%L, %L, d.is_wrong%s)', $2[i][2], $2[i][3], i), ', ' order by i)
  into columns, verdicts
  from generate_subscripts($2, 1) as i;
  select o.joins, o.differs into joins, wrong from migration.comparison('references', $2, 'a') as o;
  return query execute format($q$
    with differing as materialized (
      select m.legacy_id, m.version, %5$s
      from legacy.%2$I as s
      join ids.%1$I as m on m.legacy_id = %8$s
      join %3$s as t on t.id = m.id
      %4$s
      where %6$s
    )
    select x.column_name, x.id_map, count(*), min(d.legacy_id)
    from differing as d
    join legacy_versions.%2$I as v on v.id = d.legacy_id and v.version = d.version
    cross join lateral (values %7$s) as x (column_name, id_map, is_wrong)
    where x.is_wrong
      and not exists (
        select from migration.gone as g
        where g.entity = %1$L and g.legacy_id = d.legacy_id)
      and not exists (
        select from migration.conflicts as c
        where c.entity = %1$L and c.legacy_id = d.legacy_id and c.resolution = 'target')
    group by x.column_name, x.id_map
  $q$, $1, known.source, known.target, joins, columns, wrong, verdicts,
    migration.key_of(known.source, 's'));
end
$$;

-- Rows whose foreign key leads nowhere, over every foreign key of the target schemas; and foreign keys
-- that do not guard: not validated, or with a disabled trigger.
create or replace function migration.foreign_key_faults()
returns table (table_name text, constraint_name text, fault text, row_count bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
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
    where c.contype = 'f' and c.connamespace in (select migration.target_schemas())
      and not migration.is_copy(c.conrelid, c.conparentid)
      and (coalesce(current_setting('migration.phase', true), '') = '' or exists (
        select from migration.entities as e
        where migration.is_looked_at(e)
          and to_regclass(e.target) in (c.conrelid, c.confrelid)))
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

-- Whether the view of an entity says which ids its rows have (`-- id  source`).
create or replace function migration.gives_ids(entity text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from pg_attribute as a
    where a.attrelid = to_regclass(format('transform.%I', entity)) and a.attname = 'id')
$$;

-- Entries of the id maps that are not what they should be. Ids of rows that were not adopted
-- follow from entity and key.
create or replace function migration.id_map_faults()
returns table (entity_name text, fault text, row_count bigint, first_legacy_id bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
declare
  known   record;
  sibling text;
begin
  for known in
    select e.entity, e.target from migration.entities as e
    where migration.is_looked_at(e) and e.phase <> 'archive' order by e.entity
  loop
    -- each counted by itself: then the planner may use several workers
    if not migration.is_settled('stored', known.entity, '{}') then
      return query execute format($q$
        select %1$L::text, 'the target has no such row', count(*), min(m.legacy_id)
        from ids.%1$I as m
        where not exists (select from %2$s as t where t.id = m.id)
          and not exists (
            select from migration.conflicts as c
            where c.entity = %1$L and c.legacy_id = m.legacy_id and c.kind = 'deleted'
              and c.resolution = 'target')
        having count(*) > 0
      $q$, known.entity, known.target);
    end if;
    if not migration.gives_ids(known.entity)
      and not migration.is_settled('derived', known.entity, '{}')
    then
      return query execute format($q$
        select %1$L::text, 'not the id that follows from the key', count(*), min(m.legacy_id)
        from ids.%1$I as m where %2$s having count(*) > 0
      $q$, known.entity, migration.another_id(known.entity));
    end if;
    continue when migration.is_asked();
    for sibling in
      select e.entity from migration.entities as e
      where e.target = known.target and migration.is_written(e) and e.entity <> known.entity
        and (e.entity > known.entity or not migration.is_looked_at(e))
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
    select e.entity, e.target, e.phase from migration.entities as e
    where migration.is_looked_at(e) order by e.entity
  loop
    if known.phase = 'archive' then
      return query execute format(
        'select %L::text, (select count(*) from %s), 0::bigint, 0::bigint',
        known.entity, known.target);
      continue;
    end if;
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
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
begin
  if migration.is_settled('legacy_ids', $1, array[[$2]]) or not migration.is_checked($1) then return; end if;
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
set enable_nestloop = off set enable_mergejoin = off set work_mem = '64MB' as $$
declare
  known    migration.entities;
  alone    boolean;
  unmapped text;
  keys     text;
  equal    text;
begin
  select e.* into known from migration.entities as e where e.entity = $1;
  alone := not exists (
    select from migration.entities as e where e.target = known.target and e.entity <> $1);
  -- of a table that several fill no id map has all rows
  if alone and migration.is_settled('mapped', $1, '{}') or migration.is_asked()
    or not migration.is_checked($1)
  then
    return;
  end if;
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
    with unmapped as materialized (
      select t.* from %2$s as t where true %3$s %4$s
    )
    select %1$L::text, 'equals a mapped row', count(*), min(t.id::text)::uuid
    from unmapped as t
    where exists (select from %2$s as o join ids.%1$I as m on m.id = o.id where %5$s)
    having count(*) > 0
    union all
    select %1$L::text, 'has a legacy id that is not mapped', count(*), min(t.id::text)::uuid
    from unmapped as t
    where %6$L
      and not exists (select from %2$s as o join ids.%1$I as m on m.id = o.id where %5$s)
    having count(*) > 0
  $q$, $1, known.target, keys, unmapped, equal,
    -- said once where several entities fill the table
    cardinality($2) = 1 and $2[1] like 'legacy%' and $1 = (
      select min(e.entity) from migration.entities as e where e.target = known.target));
end
$$;

-- Entities (of a phase) whose source rows are not those of the last run: other rows, or other versions.
create or replace function migration.source_drift(of_phase text default null)
returns table (entity_name text, source_table text, ranges bigint, row_change bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with entities as materialized (
    select e.entity, e.source, e.width from migration.entities as e
    where e.source is not null and migration.is_looked_at(e) and e.phase = coalesce(of_phase, e.phase)
      and exists (select from migration.source_tables as t where t.source_table = e.source)
  ),
  sums as materialized (
    select s.* from migration.range_sums(array(select distinct e.source from entities as e)) as s
  ),
  live as (
    select e.entity, e.source, s.range, s.row_count, s.sum_a, s.sum_b
    from entities as e join sums as s on s.source_table = e.source where e.width > 0
    union all
    -- read whole: one range
    select e.entity, e.source, 0, sum(s.row_count), sum(s.sum_a), sum(s.sum_b)
    from entities as e join sums as s on s.source_table = e.source where e.width = 0
    group by e.entity, e.source
  ),
  seen as (
    select r.entity, e.source, r.range, r.row_count, r.sum_a, r.sum_b
    from migration.ranges as r join entities as e on e.entity = r.entity
  )
  select coalesce(l.entity, n.entity), coalesce(l.source, n.source), count(*),
    sum(coalesce(l.row_count, 0) - coalesce(n.row_count, 0))::bigint
  from live as l
  full join seen as n on n.entity = l.entity and n.range = l.range
  where (coalesce(l.row_count, 0), coalesce(l.sum_a, 0), coalesce(l.sum_b, 0))
    <> (coalesce(n.row_count, 0), coalesce(n.sum_a, 0), coalesce(n.sum_b, 0))
  group by 1, 2
  order by 2, 1
$$;

-- Copies in the archive that are not what the source holds, where it has not changed since. A
-- column that the link hides (a secret) is not compared.
create or replace function migration.archive_differences()
returns table (table_name text, row_count bigint, first_id bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off as $$
declare
  known  record;
  source regclass;
  copy   regclass;
  keys   text[];
  drift  text[];
begin
  for known in
    select e.entity, e.target, e.source from migration.entities as e
    where migration.is_looked_at(e) and e.phase = 'archive'
    order by e.entity
  loop
    drift := coalesce(drift, array(
      select d.entity_name from migration.source_drift('archive') as d));
    continue when known.entity = any (drift);
    source := format('legacy.%I', known.source);
    keys := migration.key_columns(known.source);
    copy := known.target;
    return query execute format($q$
      select %1$L::text, count(*), min(coalesce(%4$s, %5$s)::bigint)
      from %2$s as s
      full join %3$s as a on %6$s
      where (s.*)::text is distinct from (a.*)::text
      having count(*) > 0
    $q$, known.entity, migration.archive_rows(copy, source, keys, source),
      migration.archive_rows(copy, source, keys, copy), migration.key_of(known.source, 's'),
      migration.key_of(known.source, 'a'), case
        when migration.is_keyed(copy, keys) then migration.same_key('s', 'a', keys)
        else '(s.*)::text = (a.*)::text' end);
  end loop;
end
$$;

-- Completed by the same run, so that what one of them read is what the other wrote; and one of
-- them at least is looked at.
create or replace function migration.completed_together(variadic entities text[])
returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  -- all are asked: the name of none of them may be wrong
  looked_at boolean[] := array(select migration.is_checked(n) from unnest($1) as n);
begin
  return true = any (looked_at) and (
    select count(*) = cardinality($1) and count(distinct e.completed_run) = 1
    from migration.entities as e where e.entity = any ($1) and migration.is_written(e));
end
$$;
