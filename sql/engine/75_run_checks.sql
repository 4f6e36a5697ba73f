-- The checks are run here: texts of checks/, each a query that returns the rows that offend.

-- What the checks of this transaction look at: a phase or everything, of the entities of the files.
create or replace function migration.look_at(phase text, defined jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('migration.phase', phase, true);
  perform set_config('migration.entities', coalesce(defined::text, ''), true);
end
$$;

-- Runs checks, [{name, text, through_link, asks, accepted}], one after the other and read only, first those
-- that neither read the source nor ask what one reading answers (migration.is_settled): one of them looks for
-- logins of the source that are left behind. Opens the link where one reads the source, and closes what it
-- opened. With a phase they look at its entities only (migration.is_looked_at). An error of a check is its
-- result; no result is a cancelled statement, or a source that is out of reach: that says nothing of the data.
-- sample: the first offending rows, `most` of them, as column=value. Checks select keys and counts,
-- no data. What a person has accepted (migration.acknowledged; accepted, [{like, reason}]) is no finding:
-- remarks has the first of these, with the reason. settled: what migration.settled_comparisons said, where it
-- has been asked.
create or replace function migration.run_checks(
  checks jsonb, phase text default '', defined jsonb default null, most integer default 5,
  settled text[] default null)
returns table (
  name text, findings bigint, sample text[], acknowledged bigint, remarks text[],
  code text, message text, hint text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  each     record;
  was_open boolean := migration.is_link_open();
  -- any of them, so that what one reading answers may be about source rows
  through  boolean := exists (
    select from jsonb_array_elements(checks) as c (value) where (c.value -> 'through_link')::boolean);
begin
  perform migration.look_at(phase, defined);
  for each in
    select c.value ->> 'name' as name, c.value ->> 'text' as text,
      (c.value -> 'through_link')::boolean as through_link, (c.value -> 'asks')::boolean as asks,
      coalesce(c.value -> 'accepted', '[]') as accepted
    from jsonb_array_elements(checks) with ordinality as c (value, position)
    order by (c.value -> 'through_link')::boolean or (c.value -> 'asks')::boolean, c.position
  loop
    if each.through_link or each.asks and through then perform migration.await_link(); end if;
    if each.asks and settled is null then
      settled := array(
        select key from migration.entity_comparisons(checks) as c
        cross join lateral unnest(migration.settled_comparisons(c.entity, c.comparisons)) as key);
    end if;
    perform set_config('migration.equal', array_to_string(settled, ','), true);
    return query
    select each.name, r.* from migration.run_check(each.name, each.text, most, each.accepted) as r;
  end loop;
  perform set_config('migration.equal', '', true);
  if not was_open and migration.is_link_open() then perform migration.close_link(); end if;
end
$$;

-- Nested loops over foreign tables, which have no statistics, never end; merge joins take the source's
-- word for the order of texts, and lose partners.
create or replace function migration.run_check(
  name text, query text, most integer, in_file jsonb, out findings bigint, out sample text[],
  out acknowledged bigint, out remarks text[], out code text, out message text, out hint text)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_mergejoin = off as $$
#variable_conflict use_variable
declare
  accepted  jsonb := (
    select jsonb_object_agg(a.finding, concat(a.reason, ' (', a.who, ', ', a.at::date, ')'))
    from migration.acknowledged as a where a.check_name = name);
  found_row record;
  said      text;
  reason    text;
begin
  findings := 0;
  sample := '{}';
  acknowledged := 0;
  remarks := '{}';
  -- both end with this block
  begin
    perform set_config('transaction_read_only', 'on', true);
    for found_row in execute query loop
      if accepted is not null or in_file <> '[]' or findings < most then
        said := migration.row_text(to_json(found_row));
      end if;
      reason := coalesce(accepted ->> said, (
        select a.value ->> 'reason' from jsonb_array_elements(in_file) as a
        where said like a.value ->> 'like' limit 1));
      if reason is not null then
        acknowledged := acknowledged + 1;
        if acknowledged <= most then remarks := remarks || concat(said, ': ', reason); end if;
        continue;
      end if;
      findings := findings + 1;
      if findings <= most then sample := sample || said; end if;
    end loop;
  exception
    when sqlclient_unable_to_establish_sqlconnection then raise;
    when query_canceled then
      raise exception 'check %: %', name, sqlerrm using errcode = 'query_canceled';
    when others then
      findings := 1;
      sample := '{}';
      acknowledged := 0;
      remarks := '{}';
      get stacked diagnostics code = returned_sqlstate, message = message_text,
        hint = pg_exception_hint;
  end;
end
$$;

create or replace function migration.row_text(found json) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(string_agg(concat(c.key, '=', coalesce(c.value, 'null')), ' '
    order by c.position), '')
  from json_each_text(found) with ordinality as c (key, value, position)
$$;

-- Fails where the text of a check does, with the position that an error loses when it is caught.
-- Reads no row: a cursor that is opened has not been executed.
create or replace function migration.parse_check(query text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  opened refcursor;
begin
  open opened for execute query;
  close opened;
end
$$;
