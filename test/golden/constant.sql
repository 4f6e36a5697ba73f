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
create or replace function merge.system_profile_placed(
  first_key bigint, end_key bigint, keys bigint[] default null)
returns table (place text, legacy_id bigint, version bigint)
language sql stable as $$
  select 'merged', m.legacy_id, m.version from ids."system_profile" as m
  where (first_key is null or m.legacy_id >= first_key) and (end_key is null or m.legacy_id < end_key) and (keys is null or m.legacy_id = any (keys)) and not exists (
    select from migration.gone as g
    where g.entity = 'system_profile' and g.legacy_id = m.legacy_id)
  union all
  select 'rejected', j.legacy_id, j.version from migration.rejects as j
  where j.entity = 'system_profile' and j.resolved_run is null and (first_key is null or j.legacy_id >= first_key) and (end_key is null or j.legacy_id < end_key) and (keys is null or j.legacy_id = any (keys))
  union all
  select 'filtered', f.legacy_id, f.version from migration.filtered as f
  where f.entity = 'system_profile' and (first_key is null or f.legacy_id >= first_key) and (end_key is null or f.legacy_id < end_key) and (keys is null or f.legacy_id = any (keys))
$$;

-- The same in numbers: rows of each place in a range, and the sums over their keys and versions.
create or replace function merge.system_profile_totals(
  first_key bigint, end_key bigint, keys bigint[])
returns table (range bigint, merged bigint, rejected bigint, filtered bigint, a numeric, b numeric)
language sql stable as $$
  select 0::bigint, count(*), 0, 0, 0, 0
  from ids."system_profile" as m
  where (first_key is null or m.legacy_id >= first_key) and (end_key is null or m.legacy_id < end_key) and (keys is null or m.legacy_id = any (keys)) and not exists (
    select from migration.gone as g
    where g.entity = 'system_profile' and g.legacy_id = m.legacy_id)
  group by 1
  union all
  select 0::bigint, 0, count(*), 0, 0, 0
  from migration.rejects as j
  where j.entity = 'system_profile' and j.resolved_run is null and (first_key is null or j.legacy_id >= first_key) and (end_key is null or j.legacy_id < end_key) and (keys is null or j.legacy_id = any (keys))
  group by 1
  union all
  select 0::bigint, 0, 0, count(*), 0, 0
  from migration.filtered as f
  where f.entity = 'system_profile' and (first_key is null or f.legacy_id >= first_key) and (end_key is null or f.legacy_id < end_key) and (keys is null or f.legacy_id = any (keys))
  group by 1
$$;

-- Rows of a key range (NULL = no limit), or of some keys in it. Who knows the key is known.
create or replace function merge.system_profile_stage(
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
    "legacy_user_id" integer,
    "profile_type" public.profile_type,
    "first_name" text,
    "last_name" text,
    "email" text,
    "metadata" jsonb,
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
  perform merge.system_profile_fill(first_key, end_key, keys);
  if keys is null then
    -- counted apart from the view, in the same snapshot: the balance rests on it
    insert into pg_temp.chunk_ranges (range, source_rows) values (0, 1);
  else
    -- of the ranges that were listed the number is known; of the others, without what has gone
    with lost as materialized (
      select 0::bigint as range, count(*) as rows
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
create or replace function merge.system_profile_fill(
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
      legacy_key, "legacy_user_id", "profile_type", "first_name", "last_name", "email", "metadata",
      missing, reject, version, row_hash, target_id,
      known, known_version, known_hash, known_written, adopted)
    select
      v.legacy_key, v."legacy_user_id", v."profile_type", v."first_name", v."last_name", v."email", v."metadata",
      v.missing, v.reject, 0, hash_record_extended(row(v."legacy_user_id", v."profile_type"::text collate "C", v."first_name", v."last_name", v."email", v."metadata"::text collate "C"), 0),
      coalesce(m.id, migration.new_id('system_profile', v.legacy_key)),
      m.legacy_id is not null, m.version, m.row_hash, m.written_hash, coalesce(m.adopted, false)
    from (
      -- offset 0: no expression is computed twice
      select e.legacy_key, e."legacy_user_id", e."profile_type", e."first_name", e."last_name", e."email", e."metadata", null::text as missing, null::text as reject
      from transform."system_profile" as e
      where (first_key is null or e.legacy_key >= first_key) and (end_key is null or e.legacy_key < end_key) and (keys is null or e.legacy_key = any (keys))
      offset 0
    ) as v
    left join ids."system_profile" as m on m.legacy_id = v.legacy_key and (first_key is null or m.legacy_id >= first_key) and (end_key is null or m.legacy_id < end_key) and (keys is null or m.legacy_id = any (keys));
    return;
  exception
    when unique_violation then
      raise exception 'sql/1-foundation/30_system_profile.sql: the view shows a key twice; every source row must appear once'
        using errcode = 'MIG01';
    -- class 23: what a domain does not allow
    when data_exception or check_violation or not_null_violation then
      get stacked diagnostics failure = returned_sqlstate, failure_column = column_name,
        failure_constraint = constraint_name;
      if failure_column = 'legacy_key' then
        raise exception 'sql/1-foundation/30_system_profile.sql: the view shows a row without a key; every source row must appear once'
          using errcode = 'MIG01';
      end if;
      perform migration.refuse_unsaid(failure, '', failure_column, failure_constraint);
  end;
end
$$;

-- Recognises target rows that were there before us and are in no id map of this table.
create or replace function merge.system_profile_adopt() returns void
language plpgsql as $$
begin
  with candidates as (
    select
      b.legacy_key, t.id,
      row_number() over (partition by b.legacy_key order by coalesce(t."legacy_user_id" = b."legacy_user_id", false) desc, t.created_at, t.id) as choice,
      row_number() over (partition by t.id order by b.legacy_key) as claim
    from pg_temp.staged as b
    join "public"."profiles" as t on t."legacy_user_id" = b."legacy_user_id"
    where not b.known and b.reject is null
      and not exists (select from ids."profiles" as m where m.id = t.id)
      and not exists (select from ids."system_profile" as m where m.id = t.id)
  )
  update pg_temp.staged as b set target_id = c.id, adopting = true
  from candidates as c
  where c.legacy_key = b.legacy_key and c.choice = 1 and c.claim = 1;
end
$$;

-- Inserts the staged rows of a key range that are in no target row; their number. Checks of foreign keys
-- inherit the mode of plans: planned anew for every row they would take as long as the insert itself.
-- `by_set`: they are done set by set (63_references.sql); a parent that is missing is an error.
create or replace function merge.system_profile_insert(
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
  insert into "public"."profiles" (id, "legacy_user_id", "profile_type", "first_name", "last_name", "email", "metadata")
  select b.target_id, b."legacy_user_id", b."profile_type", b."first_name", b."last_name", b."email", b."metadata"
  from pg_temp.staged as b
  where b.to_write and b.legacy_key between first_key and last_key
    and not exists (select from pg_temp.present as p where p.legacy_key = b.legacy_key)
    and not (keeps_edits and b.known_written is not null)
  order by b.legacy_key;
  get diagnostics inserted = row_count;
  if by_set then
    perform set_config('session_replication_role', 'origin', true);
    if not migration.hold_parents('"public"."profiles"', first_key, last_key) then
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
create or replace function merge.system_profile_write(
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
    if exists (select from pg_temp.present as p where p.overwrite) then
      update "public"."profiles" as t
      set "legacy_user_id" = b."legacy_user_id", "profile_type" = b."profile_type", "first_name" = b."first_name", "last_name" = b."last_name", "email" = b."email", "metadata" = b."metadata"
      from pg_temp.staged as b join pg_temp.present as p on p.legacy_key = b.legacy_key
      where t.id = p.target_id and p.overwrite and b.to_write
        and b.legacy_key between first_key and last_key;
      get diagnostics updated = row_count;
    end if;
    inserted := merge.system_profile_insert(first_key, last_key, keeps_edits, by_set);
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
    from merge.system_profile_write(first_key, last_key, keeps_edits, false) as w;
    return;
  end if;
  if first_key < last_key then
    middle := first_key + (last_key - first_key) / 2;
    select w.updated, w.inserted into updated, inserted
    from merge.system_profile_write(first_key, middle, keeps_edits, false) as w;
    select updated + w.updated, inserted + w.inserted into updated, inserted
    from merge.system_profile_write(middle + 1, last_key, keeps_edits, false) as w;
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
create or replace function merge.system_profile_release(rows uuid[], assignment text) returns void
language plpgsql as $$
#variable_conflict use_variable
declare
  restored_age integer := migration.restored_age();
  statement    text := concat('update "public"."profiles" as t set ', assignment, ' where t.id = any ($1)');
  untouched    uuid[] := array(
    select m.id from ids."system_profile" as m join "public"."profiles" as t on t.id = m.id
    where m.id = any (rows) and hash_record_extended(row(t."legacy_user_id", t."profile_type"::text collate "C", t."first_name", t."last_name", t."email", t."metadata"::text collate "C"), 0) = m.written_hash);
  own          uuid[] := array(
    select t.id from "public"."profiles" as t where t.id = any (rows) and (exists (select from migration.writes as w where w.xmin = t.xmin) or coalesce(age(t.xmin) > restored_age, false)));
begin
  execute statement using own;
  begin
    -- a subtransaction of its own: it gets no mark
    execute statement using array(select r from unnest(rows) as r where r <> all (own));
  exception when sqlstate 'MIG04' then raise;
  end;
  update ids."system_profile" as m set row_hash = hash_record_extended(row(t."legacy_user_id", t."profile_type"::text collate "C", t."first_name", t."last_name", t."email", t."metadata"::text collate "C"), 0),
    written_hash = case when m.id = any (untouched) then hash_record_extended(row(t."legacy_user_id", t."profile_type"::text collate "C", t."first_name", t."last_name", t."email", t."metadata"::text collate "C"), 0) else m.written_hash end
  from "public"."profiles" as t where t.id = m.id and m.id = any (rows);
end
$$;

-- Mapped keys of the chunk that are no longer a row to store: kept and listed, or removed. Whole rows are
-- saved before they go where somebody else wrote them; where the application's changes win they stay.
-- Returns the number of rows removed.
create or replace function merge.system_profile_gone(
  first_key bigint, end_key bigint, keys bigint[], keeps_edits boolean, rehash boolean)
returns bigint
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_variable
declare
  this_run     bigint := migration.current_run();
  removed      bigint := 0;
begin
  perform migration.empty('pg_temp.gone');
  insert into pg_temp.gone (legacy_key, id, reason)
  select m.legacy_id, m.id,
    case
      when b.legacy_key is not null then 'rejected'
      when f.legacy_key is not null then 'filtered'
      else 'deleted'
    end
  from ids."system_profile" as m
  left join pg_temp.staged as b on b.legacy_key = m.legacy_id
  left join pg_temp.left_out as f on f.legacy_key = m.legacy_id
  where (first_key is null or m.legacy_id >= first_key) and (end_key is null or m.legacy_id < end_key) and (keys is null or m.legacy_id = any (keys)) and (b.legacy_key is null or b.reject is not null);
  analyze pg_temp.gone;
  delete from migration.gone as g
  where g.entity = 'system_profile' and (first_key is null or g.legacy_id >= first_key) and (end_key is null or g.legacy_id < end_key) and (keys is null or g.legacy_id = any (keys))
    and not exists (
      select from pg_temp.gone as n where n.legacy_key = g.legacy_id and n.kept);
  insert into migration.gone (entity, legacy_id, id, reason, run)
  select 'system_profile', n.legacy_key, n.id, n.reason, this_run from pg_temp.gone as n where n.kept
  on conflict (entity, legacy_id) do update set reason = excluded.reason
  where migration.gone.reason <> excluded.reason;
  return removed;
end
$$;

-- Writes what is staged, and the ledger, checkpoint included. `rehash`: the known hashes are of
-- another method, so what was written is known only by the marks of our transactions.
create or replace function merge.system_profile_apply(rehash boolean default false) returns void
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
  current_key       bigint;
  remaining         bigint;
  before            bigint;
  restored_age      integer := migration.restored_age();
  part              record;
begin
  select w.* into strict work from migration.work as w where w.entity = 'system_profile';
  select s.first_key, s.end_key, s.keys into strict first_key, end_key, keys from pg_temp.scope as s;
  if keys is not null then
    -- what the checkpoints say of all other keys
    insert into pg_temp.held (range, merged, rejected, filtered, a, b)
    select r.range, r.merged, r.rejected, r.filtered, r.sum_a, r.sum_b
    from migration.ranges as r join pg_temp.chunk_ranges as c on c.range = r.range
    where r.entity = 'system_profile'
    union all
    select t.range, -t.merged, -t.rejected, -t.filtered, -t.a, -t.b
    from merge.system_profile_totals(null, null, keys) as t;
  end if;

  -- 1. look: which target rows are there, locked, which the application has touched, what differs
  if work.had_rows then
    perform merge.system_profile_adopt();
    insert into pg_temp.present (legacy_key, target_id, differs, touched, ours)
    select b.legacy_key, b.target_id, row(t."legacy_user_id", t."profile_type"::text collate "C", t."first_name", t."last_name", t."email", t."metadata"::text collate "C") is distinct from row(b."legacy_user_id", b."profile_type"::text collate "C", b."first_name", b."last_name", b."email", b."metadata"::text collate "C"),
      b.known_written is not null and case
        when rehash then not o.ours else hash_record_extended(row(t."legacy_user_id", t."profile_type"::text collate "C", t."first_name", t."last_name", t."email", t."metadata"::text collate "C"), 0) <> b.known_written end,
      o.ours
    from pg_temp.staged as b
    join "public"."profiles" as t on t.id = b.target_id
    cross join lateral (select exists (select from migration.writes as w where w.xmin = t.xmin) or coalesce(age(t.xmin) > restored_age, false) as ours) as o
    where b.to_write
    for update of t;
    update pg_temp.staged as b set adopting = true
    from pg_temp.present as p
    where p.legacy_key = b.legacy_key and b.known_written is null and not b.adopted;
    if rehash then
      -- what the application changed or deleted stays so where the source row is the same version; a
      -- column that the view did not have arrives
      perform migration.write_new_columns('system_profile', '"public"."profiles"', '{"legacy_user_id":"integer","profile_type":"public.profile_type as text","first_name":"text","last_name":"text","email":"text","metadata":"jsonb as text"}'::jsonb);
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
  removed := merge.system_profile_gone(first_key, end_key, keys, keeps_edits, rehash);

  -- 2. save: rows of the application that are about to be overwritten, and what both sides changed
  insert into migration.before_images (entity, legacy_id, id, reason, image, run)
  select 'system_profile', p.legacy_key, p.target_id,
    case when p.touched or known.image or not (b.adopting or b.adopted) then 'changed'
      else 'adopted' end,
    migration.image_of(t.*), this_run
  from pg_temp.present as p
  join pg_temp.staged as b on b.legacy_key = p.legacy_key
  join "public"."profiles" as t on t.id = p.target_id
  cross join lateral (
    select exists (
      select from migration.before_images as i
      where i.entity = 'system_profile' and i.id = p.target_id) as image) as known
  where p.overwrite
    and (p.touched or not p.ours or ((b.adopting or b.adopted) and not known.image));
  insert into migration.conflicts (entity, legacy_id, id, kind, resolution, run)
  select 'system_profile', b.legacy_key, b.target_id,
    case when p.legacy_key is null then 'deleted' else 'changed' end,
    case when keeps_edits then 'target' else 'source' end, this_run
  from pg_temp.staged as b
  left join pg_temp.present as p on p.legacy_key = b.legacy_key
  where b.to_write and b.known_written is not null
    and (p.legacy_key is null or (p.touched and p.differs));

  -- 3. write: the whole set at once; what class 22 or 23 refuses becomes a reject
  perform set_config('search_path', migration.application_path(), true);
  select w.updated, w.inserted into updates, inserts
  from merge.system_profile_write(null, null, keeps_edits, work.by_set) as w;
  loop
    -- again as long as that helps: a row may need one that comes later
    before := remaining;
    remaining := (
      select count(*) from pg_temp.refused as f
      join pg_temp.staged as b on b.legacy_key = f.legacy_key where b.to_write);
    exit when remaining = 0;
    if remaining = before then
      select updates + w.updated, inserts + w.inserted, w.remaining
      into updates, inserts, remaining
      from migration.write_in_two_steps('system_profile', '"public"."profiles"', keeps_edits) as w;
      exit;
    end if;
    for current_key in
      select f.legacy_key from pg_temp.refused as f
      join pg_temp.staged as b on b.legacy_key = f.legacy_key where b.to_write order by 1
    loop
      select updates + w.updated, inserts + w.inserted into updates, inserts
      from merge.system_profile_write(current_key, current_key, keeps_edits, false) as w;
    end loop;
  end loop;
  refused := refused or remaining > 0;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  if refused then
    -- nothing has happened to these: what was saved of them is no image, and they are no conflict
    delete from migration.before_images as i using pg_temp.refused as f, pg_temp.staged as b
    where b.legacy_key = f.legacy_key and i.entity = 'system_profile' and i.id = b.target_id
      and i.run = this_run and i.reason in ('adopted', 'changed');
    delete from migration.conflicts as c using pg_temp.refused as f
    where c.entity = 'system_profile' and c.legacy_id = f.legacy_key and c.run = this_run;
    update pg_temp.staged as b set reject = concat('error_', f.code)
    from pg_temp.refused as f where f.legacy_key = b.legacy_key and b.reject is null;
    removed := removed
      + merge.system_profile_gone(first_key, end_key, keys, keeps_edits, rehash);
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
    raise exception 'profiles: % rows to insert and % to update, % and % written: a trigger or rule of the table drops rows',
      expected_inserts, expected_updates, inserts, updates using errcode = 'MIG01';
  end if;

  -- 4. enter: id map, rejects, filtered rows, and the application's own table of old and new ids
  begin
    insert into ids."system_profile" (legacy_id, id, version, row_hash, written_hash, missing, adopted, run)
    select b.legacy_key, b.target_id, b.version, b.row_hash, coalesce(b.stored_hash, b.row_hash),
      b.missing, b.adopting, this_run
    from pg_temp.staged as b where not b.known and b.reject is null order by 1;
  exception when unique_violation then
    -- what is tried again reads again, and then knows
    raise exception 'system_profile: another worker has recognised the same row of the target'
      using errcode = 'serialization_failure';
  end;
  update ids."system_profile" as m
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
  where r.entity = 'system_profile' and r.resolved_run is null and (first_key is null or r.legacy_id >= first_key) and (end_key is null or r.legacy_id < end_key) and (keys is null or r.legacy_id = any (keys))
    and not exists (
      select from pg_temp.staged as b where b.legacy_key = r.legacy_id and b.reject is not null);
  insert into migration.rejects as r (entity, legacy_id, kind, reason, sqlstate, constraint_name,
    column_name, version, first_run, last_run)
  select 'system_profile', b.legacy_key, case when f.legacy_key is null then 'rule' else 'error' end,
    b.reject, f.code, nullif(f.constraint_name, ''), nullif(f.column_name, ''), b.version,
    this_run, this_run
  from pg_temp.staged as b left join pg_temp.refused as f on f.legacy_key = b.legacy_key
  where b.reject is not null
  on conflict (entity, legacy_id) do update set
    kind = excluded.kind, reason = excluded.reason, sqlstate = excluded.sqlstate,
    constraint_name = excluded.constraint_name, column_name = excluded.column_name,
    source_row = case when r.version = excluded.version then r.source_row end,
    version = excluded.version, last_run = excluded.last_run, resolved_run = null;

  -- 5. checkpoint: the sums over what the ledger holds now, which is what was read
  -- ranges of which nothing is left in the source
  insert into pg_temp.chunk_ranges (range, source_rows)
  select r.range, 0 from migration.ranges as r
  where r.entity = 'system_profile' and keys is null and true
  on conflict (range) do nothing;
  for part in
    select i.* from migration.chunk_intervals(0) as i where keys is null
    union all
    select 0, 9223372036854775807, null, null where keys is not null
  loop
    insert into migration.ranges (entity, range, row_count, sum_a, sum_b, basis, source_rows,
      merged, rejected, filtered, run, seen, method, columns)
    select 'system_profile', c.range, coalesce(sum(t.merged + t.rejected + t.filtered), 0),
      coalesce(sum(t.a), 0), coalesce(sum(t.b), 0), work.basis, c.source_rows,
      coalesce(sum(t.merged), 0), coalesce(sum(t.rejected), 0), coalesce(sum(t.filtered), 0),
      this_run, work.seen, 2, '{"legacy_user_id":"integer","profile_type":"public.profile_type as text","first_name":"text","last_name":"text","email":"text","metadata":"jsonb as text"}'::jsonb
    from pg_temp.chunk_ranges as c
    left join (
      select h.* from pg_temp.held as h
      union all
      select n.* from merge.system_profile_totals(part.first_key, part.end_key, keys) as n
    ) as t on t.range = c.range
    where c.range >= part.first_range and c.range < part.end_range
    group by c.range, c.source_rows
    on conflict (entity, range) do update set
      row_count = excluded.row_count, sum_a = excluded.sum_a, sum_b = excluded.sum_b,
      basis = excluded.basis, source_rows = excluded.source_rows, merged = excluded.merged,
      rejected = excluded.rejected, filtered = excluded.filtered, run = excluded.run,
      seen = excluded.seen, method = excluded.method, columns = excluded.columns;
  end loop;
  perform migration.balance_chunk('system_profile', 0);

  -- 6. count: last, because workers wait for one another from here on
  perform migration.count_chunk('system_profile', updates, inserts,
    removed + (select count(*) from pg_temp.gone as g where g.kept), rows_read, kept, entered);
end
$$;

-- The comparison of one entity: every row of its view with the target and the id map. Rendered once
-- per entity, as merge.sql; nothing is written.
--
--   merge.<entity>_verify     what is wrong with which rows              the link is open
--   merge.<entity>_differing  in which columns some rows differ          the link is open
--   merge.<entity>_touched    how many rows the application has changed  the link may be closed

-- Rows of a key range (NULL = no limit) that are not in the target as the view has them: `missing`;
-- `surplus`, mapped but no row to store any more; `differs`, the view says something else than when it
-- was written; `changed`, the target was changed since; `duplicate`, another target row has the same
-- adoption key. And what is known, and no difference: `rewritten`, as a trigger of the target stored
-- it when it was written; `rejected`, an open reject of this version of the source row.
-- How many were compared is the sum of `compared` over all rows; `kind` may be NULL. Where a value
-- cannot be read (class 22, or a domain) the range is halved until single keys remain: such a row has to be a
-- reject, and is missing where it is none.
create or replace function merge.system_profile_verify(
  first_key bigint default null, end_key bigint default null)
returns table (legacy_key bigint, kind text, compared bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
set work_mem = '64MB'
as $$
#variable_conflict use_variable
declare
  rejected bigint[] := array(
    select r.legacy_id from migration.rejects as r
    where r.entity = 'system_profile' and r.resolved_run is null and (first_key is null or r.legacy_id >= first_key) and (end_key is null or r.legacy_id < end_key));
  -- the view says nothing of these: what was refused under another file may be stored under this one
  refused  bigint[] := array(
    select r.legacy_id from migration.rejects as r
    join migration.entities as e on e.entity = r.entity and e.file_hash = e.defined_hash
    where r.entity = 'system_profile' and r.resolved_run is null and r.kind = 'error'
      and (first_key is null or r.legacy_id >= first_key) and (end_key is null or r.legacy_id < end_key));
  total    bigint;
  keys     bigint[];
  kinds    text[];
  middle   bigint;
begin
  begin
    with view_rows as materialized (
      select v.legacy_key, v.reject is not null as is_rejected,
        hash_record_extended(row(v."legacy_user_id", v."profile_type"::text collate "C", v."first_name", v."last_name", v."email", v."metadata"::text collate "C"), 0) as row_hash, v."legacy_user_id"
      from (
        -- offset 0: no expression is computed twice
        select e.legacy_key, e."legacy_user_id", e."profile_type", e."first_name", e."last_name", e."email", e."metadata", null::text as reject
        from transform."system_profile" as e
        where (first_key is null or e.legacy_key >= first_key) and (end_key is null or e.legacy_key < end_key)
        offset 0
      ) as v
    ),
    map_rows as materialized (
      select m.legacy_id, m.row_hash, m.written_hash, t.id, hash_record_extended(row(t."legacy_user_id", t."profile_type"::text collate "C", t."first_name", t."last_name", t."email", t."metadata"::text collate "C"), 0) as stored_hash
      from ids."system_profile" as m
      left join "public"."profiles" as t on t.id = m.id
      where (first_key is null or m.legacy_id >= first_key) and (end_key is null or m.legacy_id < end_key) and not exists (
        select from migration.gone as g
        where g.entity = 'system_profile' and g.legacy_id = m.legacy_id)
    ),
    found as (
      select coalesce(v.legacy_key, m.legacy_id) as legacy_key,
        case
          when m.legacy_id is not null and (v.legacy_key is null or v.is_rejected) then 'surplus'
          when v.is_rejected then case when v.legacy_key = any (rejected) then 'rejected' end
          when m.legacy_id is null and v.legacy_key = any (refused) then 'rejected'
          when m.id is null then 'missing'
          when m.stored_hash = v.row_hash then null
          when v.row_hash is distinct from m.row_hash then 'differs'
          when m.stored_hash is distinct from m.written_hash then 'changed'
          else 'rewritten'
        end as kind
      from view_rows as v full join map_rows as m on m.legacy_id = v.legacy_key
      union all
      select b.legacy_key, 'duplicate'
      from view_rows as b
      join "public"."profiles" as t on t."legacy_user_id" = b."legacy_user_id"
      where not b.is_rejected
      and not exists (select from ids."profiles" as m where m.id = t.id)
      and not exists (select from ids."system_profile" as m where m.id = t.id)
    )
    select (select count(*) from view_rows as v
        where not v.is_rejected and v.legacy_key <> all (refused)),
      array_agg(f.legacy_key order by f.legacy_key, f.kind),
      array_agg(f.kind order by f.legacy_key, f.kind)
    into total, keys, kinds
    from found as f where f.kind is not null;
    return query
    select null::bigint, null::text, total
    union all
    select f.legacy_key, f.kind, 0::bigint from unnest(keys, kinds) as f (legacy_key, kind);
    return;
  exception when data_exception or check_violation or not_null_violation then
    perform migration.refuse_unsaid(sqlstate, '', '', '');
  end;
end
$$;

-- The columns in which rows of the view are not as stored, and the values, if they may be shown.
create or replace function merge.system_profile_differing(keys bigint[], show_data boolean)
returns table (legacy_key bigint, columns text[], "values" text[])
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
as $$
#variable_conflict use_variable
begin
  return query
  select v.legacy_key,
    array_agg(c.name order by c.place),
    case when show_data
      then array_agg(concat(c.name, ': ', left(c.said, 80), ' <> ', left(c.stored, 80)) order by c.place)
      else '{}'
    end
  from (
    select e.legacy_key, e."legacy_user_id", e."profile_type", e."first_name", e."last_name", e."email", e."metadata" from transform."system_profile" as e
    where e.legacy_key = any (keys)
    offset 0
  ) as v
  join ids."system_profile" as m on m.legacy_id = v.legacy_key
  join "public"."profiles" as t on t.id = m.id
  cross join lateral (values
    (0, 'legacy_user_id', v."legacy_user_id"::text collate "C", t."legacy_user_id"::text collate "C"),
    (1, 'profile_type', v."profile_type"::text collate "C", t."profile_type"::text collate "C"),
    (2, 'first_name', v."first_name"::text collate "C", t."first_name"::text collate "C"),
    (3, 'last_name', v."last_name"::text collate "C", t."last_name"::text collate "C"),
    (4, 'email', v."email"::text collate "C", t."email"::text collate "C"),
    (5, 'metadata', v."metadata"::text collate "C", t."metadata"::text collate "C")
  ) as c (place, name, said, stored)
  where c.said is distinct from c.stored
  group by v.legacy_key;
end
$$;

-- Rows the application changed or deleted since we wrote them.
create or replace function merge.system_profile_touched() returns bigint
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select count(*) from ids."system_profile" as m
  left join "public"."profiles" as t on t.id = m.id
  where t.id is null or hash_record_extended(row(t."legacy_user_id", t."profile_type"::text collate "C", t."first_name", t."last_name", t."email", t."metadata"::text collate "C"), 0) is distinct from m.written_hash
$$;
