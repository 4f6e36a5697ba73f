-- Before the others: a function cannot be replaced by one with other columns. Those that views stand on
-- stay.

do $renew$
declare
  known regprocedure;
begin
  for known in
    select p.oid::regprocedure from pg_proc as p where p.pronamespace = to_regnamespace('migration')
  loop
    begin
      execute format('drop function %s', known);
    exception when dependent_objects_still_exist then
      null;
    end;
  end loop;
end
$renew$;
