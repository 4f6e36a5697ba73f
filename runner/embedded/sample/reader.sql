-- Lets legacy_reader read this database, now and later, and do nothing else in it.

do $$ begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to legacy_reader', current_database());
end $$;

revoke all on schema public from public;
grant usage on schema public to legacy_reader;
grant select on all tables in schema public to legacy_reader;
alter default privileges in schema public grant select on tables to legacy_reader;
