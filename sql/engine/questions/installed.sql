-- What is installed, as one row `found`: edition, hash, the way that is known to be free of poolers; NULL
-- in a target that knows nothing of us, in which the table cannot be named.

do $found$
begin
  perform pg_catalog.set_config('migration.found', '', true);
  if pg_catalog.to_regclass('migration.installed') is not null then
    perform pg_catalog.set_config('migration.found', pg_catalog.to_jsonb(i)::text, true)
    from migration.installed as i;
  end if;
end
$found$;

select nullif(pg_catalog.current_setting('migration.found'), '')::jsonb as found;
