-- Keeps the hashes of what is applied of the folder in the setting migration.folder, as the files in the
-- setting migration.files have them ([{name, hash}]); those of what is taken back go.

do $hashes$
declare
  folder  text := current_setting('migration.folder');
  history text := format('migration.%I', concat('schema_changes_', folder));
begin
  execute format(
    'delete from migration.schema_change_hashes as h'
    ' where h.folder = $1 and not exists (select from %s as m where m.name = h.name)', history)
  using folder;
  execute format(
    'insert into migration.schema_change_hashes (folder, name, hash, applied_at)'
    ' select $1, f.name, f.hash, now()'
    ' from jsonb_to_recordset($2) as f (name text, hash text)'
    ' join %s as m on m.name = f.name'
    ' where not exists ('
    '   select from migration.schema_change_hashes as h where h.folder = $1 and h.name = f.name)',
    history)
  using folder, current_setting('migration.files')::jsonb;
end
$hashes$;
