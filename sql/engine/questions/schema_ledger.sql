-- The table of what was applied of schema changes, of which node-pg-migrate keeps the names only.

create schema if not exists migration;
revoke all on schema migration from public;

create table if not exists migration.schema_change_hashes (
  folder     text        not null,
  name       text        not null,
  hash       text        not null,
  applied_at timestamptz not null,
  primary key (folder, name)
);
revoke all on table migration.schema_change_hashes from public;
