-- What is applied of the folder in the setting migration.folder, in its order, as one row `applied`:
-- [{name, hash, applied_at}]. node-pg-migrate has a table for each folder; before the first schema change
-- there is none, and the hashes may not be there either.

do $applied$
declare
  folder  text := current_setting('migration.folder');
  history text := format('migration.%I', concat('schema_changes_', folder));
  found   jsonb := '[]';
begin
  if to_regclass(history) is not null then
    execute format(
      case
        when to_regclass('migration.schema_change_hashes') is null then
          'select jsonb_agg(jsonb_build_object(''name'', m.name, ''hash'', null,'
          ' ''applied_at'', m.run_on at time zone ''UTC'') order by m.run_on, m.id) from %s as m'
        else
          'select jsonb_agg(jsonb_build_object(''name'', m.name, ''hash'', h.hash,'
          ' ''applied_at'', coalesce(h.applied_at, m.run_on at time zone ''UTC''))'
          ' order by m.run_on, m.id) from %s as m left join migration.schema_change_hashes as h'
          ' on h.folder = $1 and h.name = m.name'
      end, history) into found using folder;
  end if;
  perform set_config('migration.applied', coalesce(found, '[]')::text, false);
end
$applied$;

select current_setting('migration.applied')::jsonb as applied;
