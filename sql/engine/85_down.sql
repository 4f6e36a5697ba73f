-- `down`: rows we created go, rows of the application are as they were before us. In the transaction
-- of the caller, whose run holds the lease.

-- Phases that stand on a phase, in order: they read an id map of it, or of a phase that goes with it.
-- A phase is taken back whole, so what stands on any of its entities is meant.
create or replace function migration.phases_on_top(phase text) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive going as (
    select phases_on_top.phase as phase
    union
    select above.phase
    from going as g
    join migration.entities as below on below.phase = g.phase
    join migration.entities as above on below.entity = any (above.id_maps)
    where above.status <> 'new'
  )
  select coalesce(array_agg(g.phase order by g.phase), '{}')
  from going as g where g.phase <> phases_on_top.phase
$$;

-- Entities of these phases that have state, in the order in which they are taken back: the last first,
-- and before them those that no file defines any more.
create or replace function migration.down_entities(phases text[]) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(
    array_agg(e.entity order by e.phase desc, e.position desc nulls first, e.entity), '{}')
  from migration.entities as e where e.phase = any (phases) and e.status <> 'new'
$$;

-- The rows of the application that an entity has overwritten or removed, each as it was before us: its
-- oldest image. edited: the application has changed it since we wrote it, in whatever column.
create or replace function migration.images_of(name text)
returns table (id uuid, image json, is_there boolean, removed boolean, edited boolean)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query execute format($q$
    with kept as (
      select i.id, min(i.image_id) as first, bool_or(i.reason = 'removed') as removed,
        max(i.image_id) filter (where i.reason = 'changed') as changed
      from migration.before_images as i where i.entity = %1$L group by i.id
      -- images of rows we created are of no use
      having bool_or(i.reason = 'removed')
        or exists (select from ids.%1$I as m where m.id = i.id and m.adopted)
    )
    select k.id, i.image, t.id is not null, k.removed, t.id is not null and (
      coalesce(k.changed > k.first, false)
      or not (exists (select from migration.writes as w where w.xmin = t.xmin)
        or coalesce(age(t.xmin) > migration.restored_age(), false)))
    from kept as k
    join migration.before_images as i on i.image_id = k.first
    left join %2$s as t on t.id = k.id
  $q$, name, (select e.target::regclass from migration.entities as e where e.entity = name));
end
$$;

-- Every foreign key that leads to a table: its columns, the condition by which a row `c` refers to a
-- row `t`, with the operators of the key, what a row `c` is called, and whether that stays in the way
-- where the row it refers to goes: neither row nor reference would go with it.
create or replace function migration.keys_to(target regclass)
returns table (child regclass, columns text, condition text, title text, stays boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select f.conrelid::regclass, k.columns, k.condition,
    format('concat_ws('', '', %s)', coalesce(p.columns, k.references)),
    f.confdeltype in ('a', 'r') or (f.confdeltype = 'n' and k.required)
  from pg_constraint as f
  cross join lateral (
    select string_agg(c.attname, ', ' order by k.place) as columns,
      string_agg(format('c.%I', c.attname), ', ' order by k.place) as references,
      string_agg(format('t.%I%s operator(%s.%s) c.%I', p.attname,
        case when p.attcollation <> c.attcollation
          then concat(' collate ', p.attcollation::pg_catalog.regcollation) end,
        o.oprnamespace::regnamespace, o.oprname, c.attname), ' and ' order by k.place) as condition,
      bool_or(c.attnotnull) as required
    from unnest(f.conkey, f.confkey, f.conpfeqop) with ordinality
      as k (child, parent, operator, place)
    join pg_attribute as c on c.attrelid = f.conrelid and c.attnum = k.child
    join pg_attribute as p on p.attrelid = f.confrelid and p.attnum = k.parent
    join pg_operator as o on o.oid = k.operator
  ) as k
  cross join lateral (
    select string_agg(format('c.%I', a.attname), ', ' order by a.attnum) as columns
    from pg_index as x
    join pg_attribute as a
      on a.attrelid = x.indrelid and a.attnum = any ((x.indkey::int2[])[0:x.indnkeyatts - 1])
    where x.indrelid = f.conrelid and x.indisprimary
  ) as p
  -- keys of partitions come with that of their table
  where f.contype = 'f' and f.confrelid = target and f.conparentid = 0
  order by f.conrelid::regclass::text, k.columns
$$;

-- What taking an entity back means: {entity, phase, created, restored, touched, references, staying}.
-- touched: rows that the application has changed or deleted since we wrote them; references: rows of the
-- application that refer to rows we created; staying: those among them that would not go with them.
create or replace function migration.inspect_entity(name text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  known   migration.entities;
  target  regclass;
  ours    record;
  theirs  record;
  key     record;
  rows    bigint;
  titles  text;
  place   text;
  found   text[] := '{}';
  staying text[] := '{}';
begin
  select e.* into strict known from migration.entities as e where e.entity = name;
  target := known.target::regclass;
  execute format($q$
    select count(t.id) as rows,
      count(*) filter (where t.id is null or i.id is not null
        or w.mark is null and coalesce(age(t.xmin) <= migration.restored_age(), true)) as touched
    from ids.%1$I as m
    left join %2$s as t on t.id = m.id
    left join (select distinct o.xmin as mark from migration.writes as o) as w on w.mark = t.xmin
    -- kept where the application had changed the row before we wrote it again
    left join (
      select distinct o.id from migration.before_images as o
      where o.entity = %1$L and o.reason = 'changed') as i on i.id = m.id
    where not m.adopted
  $q$, name, target) into ours;
  -- rows that are older than a restore of the target have no marks, but they have hashes
  if migration.restored_age() is not null and to_regproc(format('merge.%I', name || '_touched')) is not null
  then
    execute format('select greatest($1, merge.%I())', name || '_touched')
    into ours.touched using ours.touched;
  end if;
  select count(*) filter (where i.is_there or i.removed) as rows,
    count(*) filter (where i.edited or not (i.is_there or i.removed)) as touched
  into theirs
  from migration.images_of(name) as i;

  for key in select * from migration.keys_to(target) loop
    execute format($q$
      with found as materialized (
        select %1$s as title from %2$s as c join %3$s as t on %4$s
        join ids.%5$I as m on m.id = t.id and not m.adopted%6$s)
      select count(*), (
        select string_agg(o.title, '; ') from (
          select f.title collate "C" as title from found as f order by 1 limit 3) as o)
      from found
    $q$, key.title, key.child, target, key.condition, name,
      case when key.child = target
        then format(' where not exists (select from ids.%I as o where o.id = c.id)', name) end)
    into rows, titles;
    continue when rows = 0;
    place := format(
      case when key.columns like '%, %' then '%s.(%s)' else '%s.%s' end, key.child, key.columns);
    found := found || format('%s (%s)', place, rows);
    if key.stays then
      staying := staying || format('%s: %s %s (%s%s)', place, rows,
        case when rows = 1 then 'row' else 'rows' end, titles,
        case when rows > 3 then '; ...' end);
    end if;
  end loop;
  return jsonb_build_object('entity', name, 'phase', known.phase, 'created', ours.rows,
    'restored', theirs.rows, 'touched', ours.touched + theirs.touched, 'references', found,
    'staying', staying);
end
$$;

-- Columns that an entity writes: those of its view that its table has. NULL where it has no view.
create or replace function migration.written_columns(name text) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array_agg(t.attname::text order by t.attnum)
  from migration.entities as e
  join pg_attribute as v on v.attrelid = to_regclass(format('transform.%I', e.entity))
    and v.attnum > 0 and v.attname not in ('legacy_key', 'filter', 'missing', 'reject')
  join pg_attribute as t on t.attrelid = to_regclass(e.target) and t.attname = v.attname
    and t.attnum > 0 and not t.attisdropped
  where e.entity = name
$$;

-- Columns of a table that can be given a value, and the value of each in an image `i`, read as a record
-- `r`: a column of JSON has to be told what is text. fixed: only an insert may give it one.
create or replace function migration.image_columns(target regclass)
returns table (name text, place smallint, value text, fixed boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select a.attname, a.attnum,
    case when exists (
      with recursive based as (
        select a.atttypid as type
        union
        select y.typbasetype from based as b join pg_type as y on y.oid = b.type and y.typtype = 'd'
      )
      select from based as b where b.type in ('json'::regtype, 'jsonb'::regtype))
    then format(
      'case when i.image -> '''' is null or i.image -> %1$L is null then r.%1$I'
      ' else (i.image ->> %1$L)::%2$s end', a.attname, format_type(a.atttypid, a.atttypmod))
    else format('r.%I', a.attname) end,
    a.attidentity = 'a'
  from pg_attribute as a
  where a.attrelid = target and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
$$;

-- The statement that gives these columns of the application's rows back. Columns that are newer than the image
-- keep their value; and, in a row that the application has changed since, those that we do not write.
create or replace function migration.restore_statement(name text, target regclass, columns text[])
returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format(
    'update %1$s as t set %2$s from pg_temp.restoring as i join %1$s as was on was.id = i.id'
    ' cross join lateral json_populate_record(was.*, i.image) as r where t.id = i.id',
    $2, string_agg(format(
      case when w.columns is null or c.name = any (w.columns) then '%1$I = %2$s'
        else '%1$I = case when i.edited then was.%1$I else %2$s end' end, c.name, c.value), ', '))
  from migration.image_columns($2) as c,
    migration.written_columns($1) as w (columns)
  where not c.fixed and c.name = any ($3)
  having count(*) > 0
$$;

-- The statements that take an entity back, in their order. They read pg_temp.restoring.
create or replace function migration.back_statements(name text, target regclass) returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- first what refers to rows of the table itself: these may be about to go
  return array(
    select s from migration.restore_statement(name, target, array(
      select a.attname::text from pg_constraint as f
      join pg_attribute as a on a.attrelid = f.conrelid and a.attnum = any (f.conkey)
      where f.contype = 'f' and f.conrelid = target and f.confrelid = target)) as s
    where s is not null)
  || format(
    'delete from %s as t using ids.%I as m where t.id = m.id and not m.adopted', target, name)
  || migration.restore_statement(name, target, array(
    select c.name from migration.image_columns(target) as c))
  -- in a row that comes back, they have their default
  || array(
    select format(
      'insert into %1$s (%2$s) overriding system value select %3$s'
      ' from pg_temp.restoring as i, json_populate_record(null::%1$s, i.image) as r'
      ' where i.removed and i.columns = %4$L::text[]'
      ' and not exists (select from %1$s as t where t.id = i.id)',
      target, string_agg(format('%I', c.name), ', ' order by c.place),
      string_agg(c.value, ', ' order by c.place), o.columns)
    from (select distinct i.columns from pg_temp.restoring as i where i.removed) as o
    join migration.image_columns(target) as c on c.name = any (o.columns)
    group by o.columns);
end
$$;

-- Deletes the rows we created, restores those of the application. Triggers of the application on the
-- table are off meanwhile, and then exactly as they were.
create or replace function migration.take_back(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  target       regclass := (
    select e.target::regclass from migration.entities as e where e.entity = name);
  triggers_off text;
  triggers_on  text;
  statement    text;
begin
  -- looked at before the first row goes: foreign keys may change others
  drop table if exists pg_temp.restoring;
  create temporary table restoring on commit drop as
  select i.*, array(select k from json_object_keys(i.image) as k order by 1) as columns
  from migration.images_of(name) as i;
  analyze pg_temp.restoring;
  select string_agg(format('alter table %s disable trigger %I', target, t.tgname), '; '),
    string_agg(format('alter table %s enable %strigger %I', target,
      case t.tgenabled when 'A' then 'always ' when 'R' then 'replica ' else '' end, t.tgname), '; ')
  into triggers_off, triggers_on
  from pg_trigger as t
  where t.tgrelid = target and not t.tgisinternal and t.tgenabled <> 'D';

  if triggers_off is not null then execute triggers_off; end if;
  -- triggers of other tables, which foreign keys set off, expect it
  perform set_config('search_path', migration.application_path(), true);
  foreach statement in array migration.back_statements(name, target) loop
    execute statement;
  end loop;
  -- what is put off until COMMIT would be refused there
  set constraints all immediate;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  if triggers_on is not null then execute triggers_on; end if;
end
$$;

-- The ledger forgets the entity.
create or replace function migration.clear_entity(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  ledger text;
begin
  execute format('truncate ids.%I', name);
  foreach ledger in array array['ranges', 'lookups', 'lookup_ranges', 'rejects', 'filtered', 'gone',
    'before_images', 'mapping_images', 'conflicts', 'entities']
  loop
    execute format('delete from migration.%I as l where l.entity = $1', ledger) using name;
  end loop;
  -- the next run has to enter it again
  update migration.installed as i set prepared = null where i.prepared is not null;
end
$$;

-- Takes one entity back and forgets it; returns what that meant. `held`: what is in the way, with force
-- or without; then nothing was done.
create or replace function migration.down_entity(name text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  step          jsonb := migration.inspect_entity(name);
  staying       jsonb := step -> 'staying';
  code          text;
  refusal       text;
  in_table      text;
  in_column     text;
  in_constraint text;
begin
  step := step - 'staying';
  begin
    perform migration.take_back(name);
    perform migration.take_back_mappings(name);
  exception when data_exception or integrity_constraint_violation then
    get stacked diagnostics code = returned_sqlstate, refusal = message_text,
      in_table = table_name, in_column = column_name, in_constraint = constraint_name;
    if step -> 'references' = '[]' or code not in ('23502', '23503', '23514') then
      perform migration.refuse_unsaid(code, in_table, in_column, in_constraint);
    end if;
    -- or rows that refer to those
    if staying = '[]' then staying := jsonb_build_array(refusal); end if;
    return step || jsonb_build_object('held', staying);
  end;
  perform migration.clear_entity(name);
  perform migration.record_event(migration.current_run(), concat('down ', name), step);
  return step || '{"held": []}';
end
$$;
