-- Helper functions the views and the engine use.

-- NULL for what is not JSON, also for JSON that jsonb cannot hold (\u0000). Not parallel safe: before
-- release 17 an exception block fails in a parallel plan.
create or replace function migration.try_jsonb(t text) returns jsonb
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $$
begin
  return t::jsonb;
exception when data_exception or program_limit_exceeded then
  return null;
end
$$;

-- UUID v5 of entity and key: the same on every run and every machine
create or replace function migration.new_id(entity text, legacy_key bigint) returns uuid
language sql immutable strict parallel safe
return extensions.uuid_generate_v5(
  '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid, concat(entity, ':', legacy_key)
);

-- A row as an image keeps it: {column: its text}, null for NULL. Exact also where JSON is not: bounds of
-- arrays, the null of jsonb, types with a cast to json. The entry without a name, which no column can
-- have, tells it from images of older releases: those are row_to_json(t).
create or replace function migration.image_of(t pg_catalog.anyelement) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  image jsonb;
begin
  execute (
    select format('select jsonb_object(%L, array[''text'', %s])',
      array[''] || array_agg(a.attname::text order by a.attnum),
      string_agg(format('($1).%I::text', a.attname), ', ' order by a.attnum))
    from pg_type as y
    join pg_attribute as a on a.attrelid = y.typrelid and a.attnum > 0 and not a.attisdropped
    where y.oid = pg_typeof(t))
  into image using t;
  return image;
end
$$;
