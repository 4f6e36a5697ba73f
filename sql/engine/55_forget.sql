-- `forget`: the ledger lets go of an entity whose file is gone or leads elsewhere; its rows stay. In the
-- transaction of the caller, whose run holds the lease.

-- Forgets an entity with state; returns what was known of it: {phase, target, source, rows, images}.
-- Entities that read its id map are compared whole by the next run: the map may be another one then.
create or replace function migration.forget_entity(name text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  known migration.entities;
  rows  bigint;
  was   jsonb;
begin
  select e.* into strict known from migration.entities as e where e.entity = name for update;
  execute format('select count(*) from %s',
    case known.phase when 'archive' then known.target else format('ids.%I', name) end) into rows;
  was := jsonb_build_object(
    'phase', known.phase, 'target', known.target, 'source', known.source, 'rows', rows,
    'images', (select count(*) from migration.before_images as i where i.entity = name));
  if known.phase = 'archive' then
    delete from migration.ranges as r where r.entity = name;
    delete from migration.entities as e where e.entity = name;
  else
    perform migration.clear_entity(name);
  end if;
  delete from migration.ranges as r using migration.entities as e
  where e.entity = r.entity and name = any (e.id_maps);
  update migration.entities as e set maps_seen = e.maps_seen - name where name = any (e.id_maps);
  perform migration.record_event(migration.current_run(), concat('forget ', name), was);
  return was;
end
$$;
