-- Edition 6: source tables may be in several schemas, and have keys of any name and type.

alter table migration.settings add column if not exists source_schemas text[];
do $do$
begin
  update migration.settings set source_schemas = array[source_schema] where source_schemas is null;
exception when undefined_column then
  -- it is done
  null;
end
$do$;
alter table migration.settings
  alter column source_schemas set not null,
  drop column if exists source_schema;

create table if not exists migration.links (
  source_table  text primary key,
  source_schema text not null,
  key_columns   text[] not null,
  is_number     boolean not null,
  has_versions  boolean not null
);
-- the link is made anew, and fills it
update migration.installed set prepared = null;
