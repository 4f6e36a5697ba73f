-- The merge of one entity: what happens to its rows, in the order in which it happens. Rendered once
-- per entity (`runner plan --sql <entity>` prints it); lines between `-- if` and `-- end if` are
-- there for entities of that kind only.
--
--   merge.<entity>_stage   reads source rows into pg_temp.staged       the link is open
--   merge.<entity>_wanted  finds the keys to read of changed ranges    the link is open
--   merge.<entity>_apply   writes what was staged, and the ledger      the link may be closed, but
--                                                                      not where rows refer to their own table
--   merge.<entity>_settle  keeps the source rows of rejects            the link is open
--
-- Between stage and apply stand the temporary tables of migration.begin_chunk and pg_temp.staged.

-- Where the ledger has the source rows of a key range, or of some keys in it, each in one place.
create or replace function merge.{{entity}}_placed(
  first_key bigint, end_key bigint, keys bigint[] default null)
returns table (place text, legacy_id bigint, version bigint)
language sql stable as $$
  select 'merged', m.legacy_id, m.version from {{ids}} as m
  where {{within m.legacy_id}} and not exists (
    select from migration.gone as g
    where g.entity = '{{entity}}' and g.legacy_id = m.legacy_id)
  union all
  select 'rejected', j.legacy_id, j.version from migration.rejects as j
  where j.entity = '{{entity}}' and j.resolved_run is null and {{within j.legacy_id}}
  union all
  select 'filtered', f.legacy_id, f.version from migration.filtered as f
  where f.entity = '{{entity}}' and {{within f.legacy_id}}
$$;

-- The same in numbers: rows of each place in a range, and the sums over their keys and versions.
create or replace function merge.{{entity}}_totals(
  first_key bigint, end_key bigint, keys bigint[])
returns table (range bigint, merged bigint, rejected bigint, filtered bigint, a numeric, b numeric)
language sql stable as $$
  select {{range of m.legacy_id}}, count(*), 0, 0, {{sum a of m}}, {{sum b of m}}
  from {{ids}} as m
  where {{within m.legacy_id}} and not exists (
    select from migration.gone as g
    where g.entity = '{{entity}}' and g.legacy_id = m.legacy_id)
  group by 1
  union all
  select {{range of j.legacy_id}}, 0, count(*), 0, {{sum a of j}}, {{sum b of j}}
  from migration.rejects as j
  where j.entity = '{{entity}}' and j.resolved_run is null and {{within j.legacy_id}}
  group by 1
  union all
  select {{range of f.legacy_id}}, 0, 0, count(*), {{sum a of f}}, {{sum b of f}}
  from migration.filtered as f
  where f.entity = '{{entity}}' and {{within f.legacy_id}}
  group by 1
$$;

-- Rows of a key range (NULL = no limit), or of some keys in it. Who knows the key is known.
create or replace function merge.{{entity}}_stage(
  first_key bigint default null, end_key bigint default null, keys bigint[] default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
-- of keys, a tenth of the usual sample says as much
set default_statistics_target = 10
as $$
#variable_conflict use_variable
begin
  perform migration.begin_chunk(first_key, end_key, keys);
  drop table if exists pg_temp.staged;
  create temporary table staged (
    legacy_key    bigint primary key,
{{types}}
    missing       text,
    reject        text,
    version       bigint,
    row_hash      bigint,
    target_id     uuid,
    known         boolean not null default false,
    known_version bigint,
    known_hash    bigint,
    known_written bigint,
    adopted       boolean not null default false,
    adopting      boolean not null default false,
    stored_hash   bigint,
    -- new, or not what we wrote last
    to_write      boolean generated always as (
      reject is null and known_hash is distinct from row_hash) stored
  );
  perform merge.{{entity}}_fill(first_key, end_key, keys);
  -- if self
  -- keys first, rows second: a row may refer to any other
  perform merge.{{entity}}_adopt();
  insert into {{ids}} (legacy_id, id, adopted, run)
  select b.legacy_key, b.target_id, b.adopting, migration.current_run()
  from pg_temp.staged as b where not b.known and b.reject is null;
  perform migration.empty('pg_temp.staged', 'pg_temp.left_out', 'pg_temp.refused');
  perform merge.{{entity}}_fill(first_key, end_key, keys);
  -- end if
  if keys is null then
    -- counted apart from the view, in the same snapshot: the balance rests on it
    -- if source
    insert into pg_temp.chunk_ranges (range, source_rows)
    select {{range of s.id}}, count(*)
    from {{versions}} as s where {{within s.id}} group by 1;
    -- end if
    -- if none
    insert into pg_temp.chunk_ranges (range, source_rows) values (0, 1);
    -- end if
  else
    -- of the ranges that were listed the number is known; of the others, without what has gone
    with lost as materialized (
      select {{range of w.legacy_key}} as range, count(*) as rows
      from pg_temp.wanted as w
      where not exists (select from pg_temp.staged as b where b.legacy_key = w.legacy_key)
        and not exists (select from pg_temp.left_out as f where f.legacy_key = w.legacy_key)
      group by 1
    )
    update pg_temp.chunk_ranges as r
    set source_rows = r.expected - coalesce((select l.rows from lost as l where l.range = r.range), 0)
    where r.expected is not null;
  end if;
  -- of the keys only: looking at wide columns takes longer than it saves
  analyze pg_temp.staged (legacy_key);
  analyze pg_temp.left_out;
end
$$;

-- Where a value cannot be read (class 22, or a domain) the keys are halved until single ones remain.
create or replace function merge.{{entity}}_fill(
  first_key bigint, end_key bigint, keys bigint[])
returns void
language plpgsql as $$
#variable_conflict use_variable
declare
  middle             bigint;
  failure            text;
  failure_constraint text;
  failure_column     text;
begin
  begin
    insert into pg_temp.staged (
      legacy_key, {{columns}},
      missing, reject, version, row_hash, target_id,
      known, known_version, known_hash, known_written, adopted)
    select
      v.legacy_key, {{columns of v}},
      v.missing, v.reject, {{version of s}}, {{hash of v}},
      coalesce(m.id, {{new id of v}}),
      m.legacy_id is not null, m.version, m.row_hash, m.written_hash, coalesce(m.adopted, false)
    from (
      -- offset 0: no expression is computed twice
      select e.legacy_key, {{own id of e}}{{columns of e}}, {{missing of e}}, {{reject of e}}
      from {{view}} as e
      where {{within e.legacy_key}}{{unfiltered e}}
      offset 0
    ) as v
    -- if source
    left join {{versions}} as s on s.id = v.legacy_key and {{within s.id}}
    -- end if
    left join {{ids}} as m on m.legacy_id = v.legacy_key and {{within m.legacy_id}};
    -- if filter
    insert into pg_temp.left_out (legacy_key, reason, version)
    select v.legacy_key, v.filter, {{version of s}}
    from (
      select e.legacy_key, e.filter from {{view}} as e
      where {{within e.legacy_key}} and e.filter is not null
      offset 0
    ) as v
    -- if source
    left join {{versions}} as s on s.id = v.legacy_key and {{within s.id}}
    -- end if
    ;
    -- end if
    return;
  exception
    when unique_violation then
      raise exception '{{file}}: the view shows a key twice; every source row must appear once'
        using errcode = 'MIG01';
    -- class 23: what a domain does not allow
    when data_exception or check_violation or not_null_violation then
      get stacked diagnostics failure = returned_sqlstate, failure_column = column_name,
        failure_constraint = constraint_name;
      if failure_column = 'legacy_key' then
        raise exception '{{file}}: the view shows a row without a key; every source row must appear once'
          using errcode = 'MIG01';
      end if;
      -- if none
      perform migration.refuse_unsaid(failure, '', failure_column, failure_constraint);
      -- end if
  end;
  -- if source
  if keys is not null and (first_key is null or end_key is null) then
    select min(k), max(k) + 1 into first_key, end_key from unnest(keys) as k;
  elsif first_key is null or end_key is null then
    select min(s.id), max(s.id) + 1 into first_key, end_key
    from {{versions}} as s where {{within s.id}};
  end if;
  if end_key - first_key > 1 then
    middle := first_key + (end_key - first_key) / 2;
    perform merge.{{entity}}_fill(first_key, middle, keys);
    perform merge.{{entity}}_fill(middle, end_key, keys);
    return;
  end if;
  insert into pg_temp.staged (legacy_key, reject, known, version)
  select s.id, concat('error_', failure), m.legacy_id is not null, s.version
  from {{versions}} as s
  left join {{ids}} as m on m.legacy_id = s.id
  where s.id = first_key;
  insert into pg_temp.refused (legacy_key, code, constraint_name, column_name)
  values (first_key, failure, failure_constraint, failure_column);
  -- end if
end
$$;
-- if source

-- Of ranges whose sums changed: the keys with another version, those that are gone, those changed
-- look-ups lead to, those that wait for an id map that has grown, and open rejects. Ranges whose
-- changes are all in migration.newer, as the sums prove, are not listed.
create or replace function merge.{{entity}}_wanted(ranges bigint[]) returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
as $$
#variable_conflict use_variable
declare
  work  migration.work;
  part  record;
  newer bigint[];
begin
  select w.* into strict work from migration.work as w where w.entity = '{{entity}}';
  perform migration.make_chunk_tables();
  perform migration.empty('pg_temp.wanted', 'pg_temp.news', 'pg_temp.chunk_ranges');
  insert into pg_temp.chunk_ranges (range) select unnest(ranges);

  for part in select * from migration.intervals(ranges, {{width}}) loop
    newer := array(
      select n.id from migration.newer as n
      where n.source_table = {{source name}} and n.id >= part.first_key and n.id < part.end_key);
    insert into pg_temp.news (legacy_key, version, is_known, known)
    select n.id, n.version, o.legacy_id is not null, o.version
    from migration.newer as n
    left join merge.{{entity}}_placed(part.first_key, part.end_key, newer) as o
      on o.legacy_id = n.id
    where n.source_table = {{source name}} and n.id >= part.first_key and n.id < part.end_key;

    insert into pg_temp.wanted (legacy_key)
    select o.legacy_id from migration.affected as a
    join merge.{{entity}}_placed(part.first_key, part.end_key) as o on o.legacy_id = a.legacy_key
    where a.entity = '{{entity}}';

    -- what the target refused may be welcome by now; what a rule refused, where it is asked for
    insert into pg_temp.wanted (legacy_key)
    select j.legacy_id from migration.rejects as j
    where j.entity = '{{entity}}' and j.resolved_run is null and (work.again or j.kind = 'error')
      and j.legacy_id >= part.first_key and j.legacy_id < part.end_key
    on conflict do nothing;

    if work.again then
      insert into pg_temp.wanted (legacy_key)
      select m.legacy_id from {{ids}} as m
      where m.missing is not null and m.legacy_id >= part.first_key and m.legacy_id < part.end_key
        and string_to_array(m.missing, ',') && work.grown
        and not exists (
          select from migration.gone as g
          where g.entity = '{{entity}}' and g.legacy_id = m.legacy_id)
      on conflict do nothing;
    end if;
  end loop;

  update pg_temp.chunk_ranges as c set expected = s.row_count
  from migration.ranges as r
  join migration.sums as s on s.source_table = {{source name}} and s.range = r.range
  left join (
    select n.legacy_key / {{width}} as range,
      count(*) filter (where not n.is_known) as rows,
      sum(migration.pair_a(n.legacy_key, n.version))
        - coalesce(sum(migration.pair_a(n.legacy_key, n.known)), 0) as a,
      sum(migration.pair_b(n.legacy_key, n.version))
        - coalesce(sum(migration.pair_b(n.legacy_key, n.known)), 0) as b
    from pg_temp.news as n group by 1
  ) as d on d.range = r.range
  where r.entity = '{{entity}}' and c.range = r.range
    and s.row_count = r.row_count + coalesce(d.rows, 0)
    and s.sum_a = r.sum_a + coalesce(d.a, 0) and s.sum_b = r.sum_b + coalesce(d.b, 0);
  insert into pg_temp.wanted (legacy_key)
  select n.legacy_key from pg_temp.news as n
  join pg_temp.chunk_ranges as c on c.range = n.legacy_key / {{width}} and c.expected is not null
  where n.version is distinct from n.known
  on conflict do nothing;

  for part in
    select * from migration.intervals(
      array(select c.range from pg_temp.chunk_ranges as c where c.expected is null), {{width}})
  loop
    insert into pg_temp.wanted (legacy_key)
    select coalesce(k.id, o.legacy_id)
    from (
      select s.id, s.version from {{versions}} as s
      where s.id >= part.first_key and s.id < part.end_key offset 0
    ) as k
    full join merge.{{entity}}_placed(part.first_key, part.end_key) as o on o.legacy_id = k.id
    where k.id is null or o.legacy_id is null or k.version is distinct from o.version
    on conflict do nothing;
    update pg_temp.chunk_ranges as c set source_rows = coalesce(n.count, 0)
    from generate_series(part.first_key / {{width}}, part.end_key / {{width}} - 1) as g (range)
    left join (
      select s.id / {{width}} as range, count(*) as count
      from {{versions}} as s where s.id >= part.first_key and s.id < part.end_key group by 1
    ) as n on n.range = g.range
    where c.range = g.range;
  end loop;
  return array(select w.legacy_key from pg_temp.wanted as w order by 1);
end
$$;
-- end if

-- Recognises target rows that were there before us and are in no id map of this table.
create or replace function merge.{{entity}}_adopt() returns void
language plpgsql as $$
begin
  -- if adopt
  with candidates as (
    select
      b.legacy_key, t.id,
      row_number() over (partition by b.legacy_key order by {{adoption order}}) as choice,
      row_number() over (partition by t.id order by b.legacy_key) as claim
    from pg_temp.staged as b
    join {{target}} as t on {{adoption}}
    where not b.known and b.reject is null
{{unmapped t}}
  )
  update pg_temp.staged as b set target_id = c.id, adopting = true
  from candidates as c
  where c.legacy_key = b.legacy_key and c.choice = 1 and c.claim = 1;
  -- end if
end
$$;

-- Inserts the staged rows of a key range that are in no target row; their number. Checks of foreign keys
-- inherit the mode of plans: planned anew for every row they would take as long as the insert itself.
-- `by_set`: they are done set by set (63_references.sql); a parent that is missing is an error.
create or replace function merge.{{entity}}_insert(
  first_key bigint, last_key bigint, keeps_edits boolean, by_set boolean)
returns bigint
language plpgsql
set plan_cache_mode = auto
as $$
#variable_conflict use_variable
declare
  inserted bigint;
begin
  if by_set then perform set_config('session_replication_role', 'replica', true); end if;
  insert into {{target}} (id, {{columns}})
  select b.target_id, {{columns of b}}
  from pg_temp.staged as b
  where b.to_write and b.legacy_key between first_key and last_key
    and not exists (select from pg_temp.present as p where p.legacy_key = b.legacy_key)
    and not (keeps_edits and b.known_written is not null)
  order by b.legacy_key;
  get diagnostics inserted = row_count;
  if by_set then
    perform set_config('session_replication_role', 'origin', true);
    if not migration.hold_parents({{target literal}}, first_key, last_key) then
      raise exception 'a row refers to one that is not there' using errcode = 'MIG05';
    end if;
  end if;
  return inserted;
end
$$;

-- Writes the staged rows of a key range, both ends included (NULL = all): updates, then inserts (the
-- other way round where rows refer to their own table), since an update may free a unique value that
-- a new row takes. Where class 22 or 23 refuses one, the range is halved until single rows remain.
-- Triggers of the application see the search_path of their database. Where sets of references do not
-- hold, all is done once more without.
create or replace function merge.{{entity}}_write(
  first_key bigint, last_key bigint, keeps_edits boolean, by_set boolean,
  out updated bigint, out inserted bigint)
language plpgsql
set plan_cache_mode = auto
as $$
#variable_conflict use_variable
declare
  -- looking parents up has a price of its own
  many constant      bigint := 500;
  middle             bigint;
  failure            text;
  failure_constraint text;
  failure_column     text;
begin
  updated := 0;
  inserted := 0;
  select min(b.legacy_key), max(b.legacy_key), by_set and count(*) >= many
  into first_key, last_key, by_set
  from pg_temp.staged as b
  where b.to_write and (first_key is null or b.legacy_key between first_key and last_key);
  if first_key is null then return; end if;
  begin
    delete from pg_temp.refused as f using pg_temp.staged as b
    where b.legacy_key = f.legacy_key and b.to_write
      and f.legacy_key between first_key and last_key;
    -- if self
    inserted := merge.{{entity}}_insert(first_key, last_key, keeps_edits, by_set);
    -- end if
    if exists (select from pg_temp.present as p where p.overwrite) then
      update {{target}} as t
      set {{set from b}}
      from pg_temp.staged as b join pg_temp.present as p on p.legacy_key = b.legacy_key
      where t.id = p.target_id and p.overwrite and b.to_write
        and b.legacy_key between first_key and last_key;
      get diagnostics updated = row_count;
    end if;
    -- if not self
    inserted := merge.{{entity}}_insert(first_key, last_key, keeps_edits, by_set);
    -- end if
    set constraints all immediate;
    -- the mark of this subtransaction: rows with another xmin were changed by somebody else
    insert into migration.writes (run) values (migration.current_run());
    return;
  exception when data_exception or integrity_constraint_violation or sqlstate 'MIG05' then
    get stacked diagnostics failure = returned_sqlstate,
      failure_constraint = constraint_name, failure_column = column_name;
  end;
  if by_set then
    select w.updated, w.inserted into updated, inserted
    from merge.{{entity}}_write(first_key, last_key, keeps_edits, false) as w;
    return;
  end if;
  if first_key < last_key then
    middle := first_key + (last_key - first_key) / 2;
    select w.updated, w.inserted into updated, inserted
    from merge.{{entity}}_write(first_key, middle, keeps_edits, false) as w;
    select updated + w.updated, inserted + w.inserted into updated, inserted
    from merge.{{entity}}_write(middle + 1, last_key, keeps_edits, false) as w;
    return;
  end if;
  updated := 0;
  inserted := 0;
  insert into pg_temp.refused (legacy_key, code, constraint_name, column_name)
  values (first_key, failure, failure_constraint, failure_column)
  on conflict (legacy_key) do update set code = excluded.code,
    constraint_name = excluded.constraint_name, column_name = excluded.column_name;
end
$$;

-- Rows let go of a value that others need: `assignment` says how. What was ours is ours afterwards, too,
-- what the application has written stays the application's, and a row that comes back with what it said
-- before is written again.
create or replace function merge.{{entity}}_release(rows uuid[], assignment text) returns void
language plpgsql as $$
#variable_conflict use_variable
declare
  restored_age integer := migration.restored_age();
  statement    text := concat('update {{target}} as t set ', assignment, ' where t.id = any ($1)');
  untouched    uuid[] := array(
    select m.id from {{ids}} as m join {{target}} as t on t.id = m.id
    where m.id = any (rows) and {{hash of t}} = m.written_hash);
  own          uuid[] := array(
    select t.id from {{target}} as t where t.id = any (rows) and ({{ours t}}));
begin
  execute statement using own;
  begin
    -- a subtransaction of its own: it gets no mark
    execute statement using array(select r from unnest(rows) as r where r <> all (own));
  exception when sqlstate 'MIG04' then raise;
  end;
  update {{ids}} as m set row_hash = {{hash of t}},
    written_hash = case when m.id = any (untouched) then {{hash of t}} else m.written_hash end
  from {{target}} as t where t.id = m.id and m.id = any (rows);
end
$$;

-- if self
-- Rows that were refused for what they refer to in their own table, while that row was refused for
-- another reason: it loses its id, and they are read again. False where there is none.
create or replace function merge.{{entity}}_bereave() returns boolean
language plpgsql
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
as $$
declare
  bereaved bigint[] := array(
    select f.legacy_key from pg_temp.refused as f
    join pg_temp.staged as b on b.legacy_key = f.legacy_key
    where b.to_write and f.code = '23503' and not b.adopted order by 1);
  at_fault bigint;
begin
  delete from {{ids}} as m using pg_temp.refused as f
  where m.legacy_id = f.legacy_key and f.code <> '23503' and m.row_hash is null;
  get diagnostics at_fault = row_count;
  if at_fault = 0 or bereaved = '{}' then return false; end if;
  update pg_temp.staged as b set reject = concat('error_', f.code)
  from pg_temp.refused as f
  where f.legacy_key = b.legacy_key and f.code <> '23503' and b.reject is null;
  delete from pg_temp.staged as b where b.legacy_key = any (bereaved);
  delete from pg_temp.refused as f where f.legacy_key = any (bereaved);
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  perform merge.{{entity}}_fill(null, null, bereaved);
  perform set_config('search_path', migration.application_path(), true);
  insert into pg_temp.refused (legacy_key, code)
  select b.legacy_key, 'again' from pg_temp.staged as b
  where b.legacy_key = any (bereaved) and b.to_write
  on conflict do nothing;
  return true;
end
$$;

-- end if
-- Mapped keys of the chunk that are no longer a row to store: kept and listed, or removed. Whole rows are
-- saved before they go where somebody else wrote them; where the application's changes win they stay.
-- Returns the number of rows removed.
create or replace function merge.{{entity}}_gone(
  first_key bigint, end_key bigint, keys bigint[], keeps_edits boolean, rehash boolean)
returns bigint
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_variable
declare
  this_run     bigint := migration.current_run();
  removed      bigint := 0;
  -- if removes
  restored_age integer := migration.restored_age();
  -- end if
begin
  perform migration.empty('pg_temp.gone');
  insert into pg_temp.gone (legacy_key, id, reason)
  select m.legacy_id, m.id,
    case
      when b.legacy_key is not null then 'rejected'
      when f.legacy_key is not null then 'filtered'
      else 'deleted'
    end
  from {{ids}} as m
  left join pg_temp.staged as b on b.legacy_key = m.legacy_id
  left join pg_temp.left_out as f on f.legacy_key = m.legacy_id
  where {{within m.legacy_id}} and (b.legacy_key is null or b.reject is not null);
  analyze pg_temp.gone;
  -- if removes
  update pg_temp.gone as g
  set kept = keeps_edits and o.touched, touched = o.touched, save = o.touched or not o.ours
  from (
    select n.legacy_key, o.ours,
      case when rehash then not o.ours
        else coalesce({{hash of t}} <> m.written_hash, false) end as touched
    from pg_temp.gone as n
    join {{ids}} as m on m.legacy_id = n.legacy_key
    join {{target}} as t on t.id = n.id
    cross join lateral (select {{ours t}} as ours) as o
  ) as o
  where o.legacy_key = g.legacy_key;
  update pg_temp.gone as g set kept = false where not g.touched;
  -- refused for what another row holds: it may be swapping, and is what it is until it is tried again
  update pg_temp.gone as g set kept = true, touched = false
  from pg_temp.refused as f
  where f.legacy_key = g.legacy_key and f.code in ('23505', '23P01') and not exists (
    select from migration.rejects as j
    where j.entity = '{{entity}}' and j.legacy_id = g.legacy_key and j.resolved_run is null
      and j.kind = 'error' and j.last_run = this_run);
  insert into migration.conflicts (entity, legacy_id, id, kind, resolution, run)
  select '{{entity}}', n.legacy_key, n.id, 'changed',
    case when n.kept then 'target' else 'source' end, this_run
  from pg_temp.gone as n
  where n.touched and not exists (
    select from migration.gone as g where g.entity = '{{entity}}' and g.legacy_id = n.legacy_key);
  -- end if
  delete from migration.gone as g
  where g.entity = '{{entity}}' and {{within g.legacy_id}}
    and not exists (
      select from pg_temp.gone as n where n.legacy_key = g.legacy_id and n.kept);
  insert into migration.gone (entity, legacy_id, id, reason, run)
  select '{{entity}}', n.legacy_key, n.id, n.reason, this_run from pg_temp.gone as n where n.kept
  on conflict (entity, legacy_id) do update set reason = excluded.reason
  where migration.gone.reason <> excluded.reason;
  -- if removes
  removed := (select count(*) from pg_temp.gone as n where not n.kept);
  if removed > 0 then
    perform migration.cap_removals('{{entity}}', removed, (select count(*) from {{ids}} as m));
    -- even a second image: only `removed` says that the row was the application's
    insert into migration.before_images (entity, legacy_id, id, reason, image, run)
    select '{{entity}}', g.legacy_key, g.id,
      case when m.adopted then 'removed' else 'changed' end, migration.image_of(t.*), this_run
    from pg_temp.gone as g
    join {{ids}} as m on m.legacy_id = g.legacy_key
    join {{target}} as t on t.id = g.id
    where not g.kept and (m.adopted or g.save);
    perform set_config('search_path', migration.application_path(), true);
    perform set_config('plan_cache_mode', 'auto', true);
    delete from {{target}} as t using pg_temp.gone as g where t.id = g.id and not g.kept;
    perform set_config('search_path', 'pg_catalog, pg_temp', true);
    delete from {{ids}} as m using pg_temp.gone as g
    where m.legacy_id = g.legacy_key and not g.kept;
  end if;
  -- end if
  return removed;
end
$$;

-- Writes what is staged, and the ledger, checkpoint included. `rehash`: the known hashes are of
-- another method, so what was written is known only by the marks of our transactions.
create or replace function merge.{{entity}}_apply(rehash boolean default false) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_variable
declare
  this_run          bigint := migration.current_run();
  keeps_edits       boolean := migration.run_option('onConflict') = 'target';
  work              migration.work;
  first_key         bigint;
  end_key           bigint;
  keys              bigint[];
  refused           boolean := false;
  expected_updates  bigint;
  expected_inserts  bigint;
  kept              bigint;
  rows_read         bigint;
  entered           bigint;
  updates           bigint := 0;
  inserts           bigint := 0;
  removed           bigint;
  -- if rewrites
  found_again       bigint;
  -- end if
  current_key       bigint;
  remaining         bigint;
  before            bigint;
  restored_age      integer := migration.restored_age();
  part              record;
begin
  select w.* into strict work from migration.work as w where w.entity = '{{entity}}';
  select s.first_key, s.end_key, s.keys into strict first_key, end_key, keys from pg_temp.scope as s;
  if keys is not null then
    -- what the checkpoints say of all other keys
    insert into pg_temp.held (range, merged, rejected, filtered, a, b)
    select r.range, r.merged, r.rejected, r.filtered, r.sum_a, r.sum_b
    from migration.ranges as r join pg_temp.chunk_ranges as c on c.range = r.range
    where r.entity = '{{entity}}'
    union all
    select t.range, -t.merged, -t.rejected, -t.filtered, -t.a, -t.b
    from merge.{{entity}}_totals(null, null, keys) as t;
  end if;

  -- 1. look: which target rows are there, locked, which the application has touched, what differs
  if work.had_rows then
    -- if not self
    perform merge.{{entity}}_adopt();
    -- end if
    insert into pg_temp.present (legacy_key, target_id, differs, touched, ours)
    select b.legacy_key, b.target_id, {{differs t b}},
      b.known_written is not null and case
        when rehash then not o.ours else {{hash of t}} <> b.known_written end,
      o.ours
    from pg_temp.staged as b
    join {{target}} as t on t.id = b.target_id
    cross join lateral (select {{ours t}} as ours) as o
    where b.to_write
    for update of t;
    update pg_temp.staged as b set adopting = true
    from pg_temp.present as p
    where p.legacy_key = b.legacy_key and b.known_written is null and not b.adopted;
    if rehash then
      -- what the application changed or deleted stays so where the source row is the same version; a
      -- column that the view did not have arrives
      perform migration.write_new_columns('{{entity}}', {{target literal}}, {{column list}});
      update pg_temp.staged as b set known_hash = b.row_hash
      where b.known_version = b.version and b.reject is null and b.known_written is not null
        and not exists (
          select from pg_temp.present as p where p.legacy_key = b.legacy_key and not p.touched);
      delete from pg_temp.present as p using pg_temp.staged as b
      where b.legacy_key = p.legacy_key and not b.to_write;
    end if;
    update pg_temp.present as p set overwrite = true
    where p.differs and not (keeps_edits and p.touched);
  end if;
  analyze pg_temp.present;
  removed := merge.{{entity}}_gone(first_key, end_key, keys, keeps_edits, rehash);

  -- 2. save: rows of the application that are about to be overwritten, and what both sides changed
  insert into migration.before_images (entity, legacy_id, id, reason, image, run)
  select '{{entity}}', p.legacy_key, p.target_id,
    case when p.touched or known.image or not (b.adopting or b.adopted) then 'changed'
      else 'adopted' end,
    migration.image_of(t.*), this_run
  from pg_temp.present as p
  join pg_temp.staged as b on b.legacy_key = p.legacy_key
  join {{target}} as t on t.id = p.target_id
  cross join lateral (
    select exists (
      select from migration.before_images as i
      where i.entity = '{{entity}}' and i.id = p.target_id) as image) as known
  where p.overwrite
    and (p.touched or not p.ours or ((b.adopting or b.adopted) and not known.image));
  insert into migration.conflicts (entity, legacy_id, id, kind, resolution, run)
  select '{{entity}}', b.legacy_key, b.target_id,
    case when p.legacy_key is null then 'deleted' else 'changed' end,
    case when keeps_edits then 'target' else 'source' end, this_run
  from pg_temp.staged as b
  left join pg_temp.present as p on p.legacy_key = b.legacy_key
  where b.to_write and b.known_written is not null
    and (p.legacy_key is null or (p.touched and p.differs));

  -- 3. write: the whole set at once; what class 22 or 23 refuses becomes a reject
  perform set_config('search_path', migration.application_path(), true);
  select w.updated, w.inserted into updates, inserts
  from merge.{{entity}}_write(null, null, keeps_edits, work.by_set) as w;
  loop
    -- again as long as that helps: a row may need one that comes later
    before := remaining;
    remaining := (
      select count(*) from pg_temp.refused as f
      join pg_temp.staged as b on b.legacy_key = f.legacy_key where b.to_write);
    exit when remaining = 0;
    if remaining = before then
      -- if self
      if merge.{{entity}}_bereave() then
        refused := true;
        remaining := null;
        continue;
      end if;
      -- end if
      select updates + w.updated, inserts + w.inserted, w.remaining
      into updates, inserts, remaining
      from migration.write_in_two_steps('{{entity}}', {{target literal}}, keeps_edits) as w;
      exit;
    end if;
    for current_key in
      select f.legacy_key from pg_temp.refused as f
      join pg_temp.staged as b on b.legacy_key = f.legacy_key where b.to_write order by 1
    loop
      select updates + w.updated, inserts + w.inserted into updates, inserts
      from merge.{{entity}}_write(current_key, current_key, keeps_edits, false) as w;
    end loop;
  end loop;
  refused := refused or remaining > 0;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  if refused then
    -- nothing has happened to these: what was saved of them is no image, and they are no conflict
    delete from migration.before_images as i using pg_temp.refused as f, pg_temp.staged as b
    where b.legacy_key = f.legacy_key and i.entity = '{{entity}}' and i.id = b.target_id
      and i.run = this_run and i.reason in ('adopted', 'changed');
    delete from migration.conflicts as c using pg_temp.refused as f
    where c.entity = '{{entity}}' and c.legacy_id = f.legacy_key and c.run = this_run;
    update pg_temp.staged as b set reject = concat('error_', f.code)
    from pg_temp.refused as f where f.legacy_key = b.legacy_key and b.reject is null;
    -- if self
    -- ids entered for rows that the target then refused: nothing may point at them
    delete from {{ids}} as m using pg_temp.staged as b
    where m.legacy_id = b.legacy_key and b.reject is not null and m.row_hash is null;
    -- end if
    removed := removed
      + merge.{{entity}}_gone(first_key, end_key, keys, keeps_edits, rehash);
  end if;
  -- all that is counted of staged rows, in one pass
  select
    count(*) filter (where b.to_write and p.overwrite),
    count(*) filter (where b.to_write and p.legacy_key is null
      and not (keeps_edits and b.known_written is not null)),
    count(*) filter (where b.to_write and keeps_edits and b.known_written is not null
      and (p.legacy_key is null or (p.touched and p.differs))),
    count(*) filter (where b.reject is null),
    count(*) filter (where b.reject is null and b.known_hash is null)
  into expected_updates, expected_inserts, kept, rows_read, entered
  from pg_temp.staged as b
  left join pg_temp.present as p on p.legacy_key = b.legacy_key;
  if (updates, inserts) <> (expected_updates, expected_inserts) then
    raise exception '{{target name}}: % rows to insert and % to update, % and % written: a trigger or rule of the table drops rows',
      expected_inserts, expected_updates, inserts, updates using errcode = 'MIG01';
  end if;
  -- if rewrites
  -- triggers of the table may have changed what is stored; none is at INSERT where `by_set` is true
  if updates > 0 or not work.by_set then
    update pg_temp.staged as b set stored_hash = {{hash of t}}
    from {{target}} as t
    where t.id = b.target_id and b.to_write;
    get diagnostics found_again = row_count;
    if found_again < updates + inserts then
      raise exception '{{target name}}: % of % rows written are not there under their id: a trigger of the table gives them another one',
        updates + inserts - found_again, updates + inserts using errcode = 'MIG01';
    end if;
  end if;
  -- end if

  -- 4. enter: id map, rejects, filtered rows, and the application's own table of old and new ids
  begin
    insert into {{ids}} (legacy_id, id, version, row_hash, written_hash, missing, adopted, run)
    select b.legacy_key, b.target_id, b.version, b.row_hash, coalesce(b.stored_hash, b.row_hash),
      b.missing, b.adopting, this_run
    from pg_temp.staged as b where not b.known and b.reject is null order by 1;
  exception when unique_violation then
    -- what is tried again reads again, and then knows
    raise exception '{{entity}}: another worker has recognised the same row of the target'
      using errcode = 'serialization_failure';
  end;
  update {{ids}} as m
  set version = b.version, row_hash = b.row_hash, missing = b.missing, run = this_run,
    adopted = m.adopted or b.adopting,
    written_hash = case
      when b.to_write and not (keeps_edits and b.known_written is not null
        and (p.legacy_key is null or (p.touched and p.differs)))
        then coalesce(b.stored_hash, b.row_hash)
      else m.written_hash
    end
  from pg_temp.staged as b
  left join pg_temp.present as p on p.legacy_key = b.legacy_key
  where m.legacy_id = b.legacy_key and b.known and b.reject is null
    and (m.version, m.row_hash, m.missing) is distinct from (b.version, b.row_hash, b.missing);
  update migration.rejects as r set resolved_run = this_run
  where r.entity = '{{entity}}' and r.resolved_run is null and {{within r.legacy_id}}
    and not exists (
      select from pg_temp.staged as b where b.legacy_key = r.legacy_id and b.reject is not null);
  insert into migration.rejects as r (entity, legacy_id, kind, reason, sqlstate, constraint_name,
    column_name, version, first_run, last_run)
  select '{{entity}}', b.legacy_key, case when f.legacy_key is null then 'rule' else 'error' end,
    b.reject, f.code, nullif(f.constraint_name, ''), nullif(f.column_name, ''), b.version,
    this_run, this_run
  from pg_temp.staged as b left join pg_temp.refused as f on f.legacy_key = b.legacy_key
  where b.reject is not null
  on conflict (entity, legacy_id) do update set
    kind = excluded.kind, reason = excluded.reason, sqlstate = excluded.sqlstate,
    constraint_name = excluded.constraint_name, column_name = excluded.column_name,
    source_row = case when r.version = excluded.version then r.source_row end,
    version = excluded.version, last_run = excluded.last_run, resolved_run = null;
  -- if filter
  delete from migration.filtered as f
  where f.entity = '{{entity}}' and {{within f.legacy_id}}
    and not exists (select from pg_temp.left_out as l where l.legacy_key = f.legacy_id);
  update migration.filtered as f set reason = l.reason, version = l.version
  from pg_temp.left_out as l
  where f.entity = '{{entity}}' and {{within f.legacy_id}} and f.legacy_id = l.legacy_key
    and (f.reason, f.version) is distinct from (l.reason, l.version);
  -- not ON CONFLICT, which takes twice as long
  insert into migration.filtered (entity, legacy_id, reason, version)
  select '{{entity}}', l.legacy_key, l.reason, l.version from pg_temp.left_out as l
  where not exists (
    select from migration.filtered as f
    where f.entity = '{{entity}}' and {{within f.legacy_id}} and f.legacy_id = l.legacy_key)
  order by 2;
  -- end if
  -- if mapping
  perform migration.keep_mappings('{{entity}}', first_key, end_key, keys);
  -- end if

  -- 5. checkpoint: the sums over what the ledger holds now, which is what was read
  -- ranges of which nothing is left in the source
  insert into pg_temp.chunk_ranges (range, source_rows)
  select r.range, 0 from migration.ranges as r
  where r.entity = '{{entity}}' and keys is null and {{range within r.range}}
  on conflict (range) do nothing;
  for part in
    select i.* from migration.chunk_intervals({{width}}) as i where keys is null
    union all
    select 0, 9223372036854775807, null, null where keys is not null
  loop
    insert into migration.ranges (entity, range, row_count, sum_a, sum_b, basis, source_rows,
      merged, rejected, filtered, run, seen, method, columns)
    select '{{entity}}', c.range, coalesce(sum(t.merged + t.rejected + t.filtered), 0),
      coalesce(sum(t.a), 0), coalesce(sum(t.b), 0), work.basis, c.source_rows,
      coalesce(sum(t.merged), 0), coalesce(sum(t.rejected), 0), coalesce(sum(t.filtered), 0),
      this_run, work.seen, {{method}}, {{column list}}
    from pg_temp.chunk_ranges as c
    left join (
      select h.* from pg_temp.held as h
      union all
      select n.* from merge.{{entity}}_totals(part.first_key, part.end_key, keys) as n
    ) as t on t.range = c.range
    where c.range >= part.first_range and c.range < part.end_range
    group by c.range, c.source_rows
    on conflict (entity, range) do update set
      row_count = excluded.row_count, sum_a = excluded.sum_a, sum_b = excluded.sum_b,
      basis = excluded.basis, source_rows = excluded.source_rows, merged = excluded.merged,
      rejected = excluded.rejected, filtered = excluded.filtered, run = excluded.run,
      seen = excluded.seen, method = excluded.method, columns = excluded.columns;
  end loop;
  perform migration.balance_chunk('{{entity}}', {{width}});

  -- 6. count: last, because workers wait for one another from here on
  perform migration.count_chunk('{{entity}}', updates, inserts,
    removed + (select count(*) from pg_temp.gone as g where g.kept), rows_read, kept, entered);
end
$$;
-- if source

-- The source rows of open rejects that have none yet, or were read again (a label may have another name by
-- now); of what cannot be read, key and error are kept.
create or replace function merge.{{entity}}_settle() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
as $$
#variable_conflict use_variable
declare
  bare        bigint[] := array(
    select r.legacy_id from migration.rejects as r
    where r.entity = '{{entity}}' and r.resolved_run is null
      and (r.source_row is null or r.last_run = migration.current_run())
    order by 1);
  current_key bigint;
begin
  update migration.rejects as r set source_row = to_jsonb(s.*)
  from {{source}} as s
  where r.entity = '{{entity}}' and r.resolved_run is null
    and {{key of s}} = r.legacy_id and {{key of s}} = any (bare);
exception when data_exception then
  foreach current_key in array bare loop
    begin
      update migration.rejects as r set source_row = to_jsonb(s.*)
      from {{source}} as s
      where r.entity = '{{entity}}' and r.legacy_id = current_key and {{key of s}} = current_key;
    exception when data_exception then
      null;
    end;
  end loop;
end
$$;
-- end if
