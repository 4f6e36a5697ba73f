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

-- What taking an entity back means: {entity, phase, created, restored, touched, references}.
create or replace function migration.inspect_entity(name text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  known  migration.entities;
  target regclass;
  counts jsonb;
  found  text[] := '{}';
  rows   bigint;
  key    record;
begin
  select e.* into strict known from migration.entities as e where e.entity = name;
  target := known.target::regclass;
  execute format(
    'with writes as materialized (select distinct w.xmin::text from migration.writes as w),'
    ' images as materialized ('
    '   select distinct i.id from migration.before_images as i where i.entity = %L)'
    ' select jsonb_build_object('
    '   ''created'', count(t.id) filter (where not m.adopted),'
    '   ''restored'', (select count(*) from images),'
    '   ''touched'', count(*) filter (where'
    '     (not m.adopted or exists (select from images as i where i.id = m.id))'
    '     and (t.id is null or not exists ('
    '       select from writes as w where w.xmin = t.xmin::text))))'
    ' from ids.%I as m left join %s as t on t.id = m.id', name, name, target) into counts;

  -- every foreign key that leads here, by all of its columns and with its own operators
  for key in
    select f.conrelid::regclass as child, k.columns, k.condition
    from pg_constraint as f
    cross join lateral (
      select string_agg(c.attname, ', ' order by k.place) as columns,
        string_agg(format('t.%I%s operator(%s.%s) c.%I', p.attname,
          case when p.attcollation <> c.attcollation
            then concat(' collate ', p.attcollation::pg_catalog.regcollation) end,
          o.oprnamespace::regnamespace, o.oprname, c.attname), ' and ' order by k.place) as condition
      from unnest(f.conkey, f.confkey, f.conpfeqop) with ordinality
        as k (child, parent, operator, place)
      join pg_attribute as c on c.attrelid = f.conrelid and c.attnum = k.child
      join pg_attribute as p on p.attrelid = f.confrelid and p.attnum = k.parent
      join pg_operator as o on o.oid = k.operator
    ) as k
    -- keys of partitions come with that of their table
    where f.contype = 'f' and f.confrelid = target and f.conparentid = 0
    order by f.conrelid::regclass::text, k.columns
  loop
    execute format(
      'select count(*) from %s as c join %s as t on %s'
      ' join ids.%I as m on m.id = t.id and not m.adopted%s',
      key.child, target, key.condition, name,
      case when key.child = target
        then format(' where not exists (select from ids.%I as o where o.id = c.id)', name) end)
    into rows;
    if rows > 0 then
      found := found || format(
        case when key.columns like '%, %' then '%s.(%s) (%s)' else '%s.%s (%s)' end,
        key.child, key.columns, rows);
    end if;
  end loop;
  return counts || jsonb_build_object('entity', name, 'phase', known.phase, 'references', found);
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
  -- the oldest image is how the row was before us; images of rows we created are of no use now
  images       text := format(
    'select distinct on (i.id) i.id, i.image from migration.before_images as i'
    ' where i.entity = %L and not exists ('
    '   select from ids.%I as m where m.id = i.id and not m.adopted)'
    ' order by i.id, i.image_id', name, name);
  statements   text[];
  statement    text;
begin
  select string_agg(format('alter table %s disable trigger %I', target, t.tgname), '; '),
    string_agg(format('alter table %s enable %strigger %I', target,
      case t.tgenabled when 'A' then 'always ' when 'R' then 'replica ' else '' end, t.tgname), '; ')
  into triggers_off, triggers_on
  from pg_trigger as t
  where t.tgrelid = target and not t.tgisinternal and t.tgenabled <> 'D';
  select array[
    format('delete from %s as t using ids.%I as m where t.id = m.id and not m.adopted', target, name),
    -- columns that are newer than the image keep their value
    format(
      'update %1$s as t set %2$s from (%3$s) as i join %1$s as was on was.id = i.id'
      ' cross join lateral json_populate_record(was, i.image) as r where t.id = i.id',
      target, string_agg(format('%1$I = r.%1$I', a.attname), ', ') filter (where a.attidentity <> 'a'),
      images),
    format(
      'insert into %1$s (%2$s) overriding system value select %3$s'
      ' from (%4$s) as i, json_populate_record(null::%1$s, i.image) as r'
      ' where not exists (select from %1$s as t where t.id = i.id) and exists ('
      '   select from migration.before_images as x'
      '   where x.entity = %5$L and x.id = i.id and x.reason = ''removed'')',
      target, string_agg(format('%I', a.attname), ', '), string_agg(format('r.%I', a.attname), ', '),
      images, name)]
  into statements
  from pg_attribute as a
  where a.attrelid = target and a.attnum > 0 and not a.attisdropped and a.attgenerated = '';

  if triggers_off is not null then execute triggers_off; end if;
  -- triggers of other tables, which foreign keys set off, expect it
  perform set_config('search_path', migration.application_path(), true);
  foreach statement in array statements loop
    execute statement;
  end loop;
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
    'before_images', 'conflicts', 'entities']
  loop
    execute format('delete from migration.%I as l where l.entity = $1', ledger) using name;
  end loop;
  -- the next run has to enter it again
  update migration.installed as i set prepared = null where i.prepared is not null;
end
$$;

-- Takes one entity back and forgets it; returns what that meant. `held`: rows of the application that
-- refer to ours cannot go with them, and nothing was done.
create or replace function migration.down_entity(name text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  step jsonb := migration.inspect_entity(name);
begin
  begin
    perform migration.take_back(name);
  exception when foreign_key_violation then
    if step -> 'references' = '[]' then raise; end if;
    return step || '{"held": true}';
  end;
  perform migration.clear_entity(name);
  perform migration.record_event(migration.current_run(), concat('down ', name), step);
  return step || '{"held": false}';
end
$$;
