-- A role that may log in; name and password are in settings, since this kind of statement takes no
-- parameters.

do $$ begin
  execute format('create role %I login password %L',
    current_setting('embedded.role'), current_setting('embedded.password'));
end $$;
