-- Checks of staged rows (pg_temp.staged), before anything is written.

-- A value that its target column would round: the row is a reject (class 22).
create or replace function migration.refuse_rounding(column_name text, type text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '% has more digits than % stores', column_name, type
    using errcode = case when type like 'numeric%' then '22003' else '22008' end,
      column = column_name;
end
$$;
