-- Lets legacy_reader read this database, now and later, and do nothing else in it.

do $$
declare
  name text;
begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to legacy_reader', current_database());
  for name in
    select n.nspname from pg_namespace as n
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  loop
    execute format('revoke all on schema %I from public', name);
    execute format('grant usage on schema %I to legacy_reader', name);
    execute format('grant select on all tables in schema %I to legacy_reader', name);
    execute format(
      'alter default privileges in schema %I grant select on tables to legacy_reader', name);
  end loop;
end $$;
