-- What rows are refused with: checks of staged rows (pg_temp.staged) before anything is written, and
-- errors that go on to the caller.

-- A value that its target column would round: the row is a reject (class 22).
create or replace function migration.refuse_rounding(column_name text, type text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '% has more digits than % stores', column_name, type
    using errcode = case when type like 'numeric%' then '22003' else '22008' end,
      column = column_name;
end
$$;

-- Raises a caught error of class 22 or 23 again, without its words: message and detail may quote a row,
-- and what nobody catches goes to the log of the server. What is told apart by, stays.
create or replace function migration.refuse_unsaid(
  code text, in_table text, in_column text, in_constraint text)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'a value of a row was refused (%)', code
    using errcode = code, table = coalesce(in_table, ''), column = coalesce(in_column, ''),
      constraint = coalesce(in_constraint, '');
end
$$;
