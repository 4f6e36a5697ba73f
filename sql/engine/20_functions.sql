-- Helper functions the views and the engine use.

-- NULL for what is not JSON, also for JSON that jsonb cannot hold (\u0000). Not parallel safe: before
-- release 17 an exception block fails in a parallel plan.
create or replace function migration.try_jsonb(t text) returns jsonb
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $$
begin
  -- an exception block costs as much as the cast: not for what no JSON begins with
  if t !~ '^[ \t\r\n]*[\[{"tfn0-9-]' then return null; end if;
  begin
    return t::jsonb;
  exception when data_exception or program_limit_exceeded then
    return null;
  end;
end
$$;

-- UUID v5 of entity and key: the same on every run and every machine. Of immutable and strict parts, so
-- that the planner puts the expression in its place: a call would take as long as the hash.
create or replace function migration.new_id(entity text, legacy_key bigint) returns uuid
language sql immutable strict parallel safe
return extensions.uuid_generate_v5(
  '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid, entity || ':' || legacy_key::text
);

-- The number of a key that is no whole number, of SQL for its values: 63 bits of the md5 of its text, in the SQL of every release,
-- so that the source is asked in the same words. Two keys of ten million have the same with a chance of one in
-- 200,000, and then the view shows a key twice, which fails.
create or replace function migration.number_of(values_of_key text[]) returns text
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
  select format('(''x'' || left(md5((%s)::text), 16))::bit(64)::bigint & 9223372036854775807',
    case when cardinality(values_of_key) = 1 then values_of_key[1]
      else format('row(%s)', array_to_string(values_of_key, ', ')) end)
$$;

-- For views: the number of a uuid or a text, or of `row(...)` of the columns of a key. Stable, as the text
-- of a row is, so that the planner puts the expression in its place.
do $do$
begin
  execute format('create or replace function migration.key_number(key anyelement) returns bigint'
    ' language sql stable strict parallel safe as %L',
    concat('select ', migration.number_of('{key}')));
end
$do$;
