-- The ledger: what was done, what was left out and why, and how far each range is.
-- Private: no other role is granted anything here. May be run again at any time.

create schema if not exists migration;
create schema if not exists ids;
create schema if not exists transform;
create schema if not exists merge;
create schema if not exists legacy;
create schema if not exists legacy_versions;
create schema if not exists legacy_archive;

revoke all on schema migration, ids, transform, merge, legacy, legacy_versions, legacy_archive
from public;

comment on schema migration is 'migration ledger (runner)';
comment on schema ids is 'legacy id to new id, one table per entity (runner)';
comment on schema transform is 'one view per entity (runner)';
comment on schema merge is 'the functions that merge each view into its table (runner)';
comment on schema legacy is 'foreign tables of the source (runner)';
comment on schema legacy_archive is 'verbatim copies of source tables without a place in the application (runner)';
comment on schema legacy_versions is 'id and row version of every source row (runner)';

-- what is installed: hash of the files of sql/engine, and what link, views and functions were built of
create table if not exists migration.installed (
  one_row   boolean primary key default true check (one_row),
  edition   integer not null,
  hash      text not null,
  prepared  text,
  -- way to this database that the last finished run took: no pooler is in it
  way       text,
  installed timestamptz not null default clock_timestamp()
);

-- what is the project's own and the engine has to know: where the source tables are, the columns to be
-- removed in the end, [{"schema", "table", "column"}], and a table of the application
create table if not exists migration.settings (
  one_row        boolean primary key default true check (one_row),
  -- where source tables are looked for; a name is in one of them
  source_schemas text[] not null,
  removal        jsonb not null,
  -- the application's own table of old and new ids
  mappings       text
);

create or replace function migration.enter_settings(settings jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into migration.settings as s (source_schemas, removal, mappings)
  values (array(select jsonb_array_elements_text(settings -> 'sourceSchemas')),
    settings -> 'removal', settings ->> 'mappings')
  on conflict (one_row) do update
  set source_schemas = excluded.source_schemas, removal = excluded.removal,
    mappings = excluded.mappings
$$;

create or replace function migration.source_schemas() returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select s.source_schemas from migration.settings as s
$$;

-- The source tables of the link: where each is, and by what its rows are known.
create table if not exists migration.links (
  source_table  text primary key,
  source_schema text not null,
  -- those of a table without a key, and of a view, are all: rows are known by what they say
  key_columns   text[] not null,
  -- the key is one whole number, which stands for itself
  is_number     boolean not null,
  -- its rows have versions (xmin)
  has_versions  boolean not null
);

-- Schema and name of a source table, as statements for the source say them.
create or replace function migration.source_name(source_table text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format('%I.%I', l.source_schema, l.source_table) from migration.links as l
  where l.source_table = source_name.source_table
$$;

create table if not exists migration.runs (
  run         bigint generated always as identity primary key,
  command     text not null,
  options     jsonb not null default '{}',
  status      text not null check (status in ('running', 'done', 'failed', 'interrupted')),
  started_at  timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  run_by      text not null default current_user,
  client      text,
  error       text,
  -- oldest transaction of the source that was open when the run took its sums
  horizon     bigint
);

-- the run that may write; every writing transaction begins by reading this row
create table if not exists migration.lease (
  one_row  boolean primary key default true check (one_row),
  run      bigint not null references migration.runs,
  -- its own xmin: another one after the target was restored from a dump
  seal     text,
  -- the transaction that noticed it: rows that are older have lost the marks of who wrote them
  restored xid8
);

-- keys per range of a source table, chosen once for about 10,000 rows; where the table was when it
-- was last looked at (server, history, database), and a digest of its definition
create table if not exists migration.source_tables (
  source_table text primary key,
  width        bigint not null check (width > 0),
  identity     text,
  definition   text
);

-- row versions of the source as the current run found them: sums by key range
create table if not exists migration.sums (
  source_table text not null,
  range        bigint not null,
  row_count    bigint not null,
  sum_a        numeric not null,
  sum_b        numeric not null,
  primary key (source_table, range)
);

-- rows of the source that look newer than what was complete before this run: a hint that saves
-- listing whole ranges, believed only where the sums of the range prove it
create table if not exists migration.newer (
  source_table text not null,
  id           bigint not null,
  version      bigint not null,
  primary key (source_table, id)
);

-- each entity: what its file says, and what is true now
create table if not exists migration.entities (
  entity        text primary key,
  phase         text not null,
  -- NULL: no file defines it any more
  position      integer,
  target        text not null,
  source        text,
  -- keys per range; 0 where one range holds the whole entity
  width         bigint not null,
  id_maps       text[] not null default '{}',
  -- those of them that it does not wait for by name: it is compared whole when they change
  opaque_maps   text[] not null default '{}',
  reads         text[] not null default '{}',
  -- tables it looks things up in: [{"table", "followed", "path": [{"table", "column"}]}]
  lookups       jsonb not null default '[]',
  removes       boolean not null default false,
  -- share of rows that rules may reject; NULL = the default of the run
  tolerance     numeric,
  -- what the hashes of its rows are made of now, {"column": "type"}
  columns       jsonb,
  -- hash of its file now, and of the file by which it was completed
  defined_hash  text,
  file_hash     text,
  status        text not null default 'new' check (status in ('new', 'partial', 'complete')),
  -- rows ever entered into the id map or removed from it, and what this entity had seen of the maps
  -- it reads
  map_size      bigint not null default 0,
  maps_seen     jsonb not null default '{}',
  completed_run bigint references migration.runs,
  -- rows removed since the entity was last complete: what the cap on removals is about
  removed       bigint not null default 0,
  -- horizon of the run that completed it last
  horizon       bigint,
  -- its type in the application's table of old and new ids, and the one its rows stand under
  mapping       text,
  mapped        text
);

-- what the current run has to do for an entity, and what decides that
create table if not exists migration.work (
  entity      text primary key,
  -- digest of all that decides what the view says but the driving rows and followed look-ups
  basis       text not null,
  -- content of the followed look-ups now, and as all ranges were brought to
  seen        text not null,
  -- id maps that have grown since it was last complete
  grown       text[] not null,
  -- open rejects, and rows with something missing from a map that has grown, are read
  again       boolean not null,
  source_rows bigint not null,
  had_rows    boolean not null default true,
  -- foreign keys of rows that are inserted may be checked set by set
  by_set      boolean not null default false,
  started_at  timestamptz
);

-- what is read and merged at once: all of an entity, key ranges, or changed keys of some ranges
create table if not exists migration.chunks (
  entity    text not null,
  chunk     integer not null,
  kind      text not null check (kind in ('all', 'range', 'keys')),
  first_key bigint,
  end_key   bigint,
  ranges    bigint[] not null,
  row_count bigint not null,
  -- hashes of its rows are of another method: they tell nothing about changes
  rehash    boolean not null,
  primary key (entity, chunk)
);

-- what an entity saw of a table it looks things up in: the versions of all its rows, and the
-- content of the columns the view uses; settled = no row changed while the entity was read
create table if not exists migration.lookups (
  entity         text not null,
  source_table   text not null,
  columns        text not null,
  version_digest text not null,
  content_digest text not null,
  settled        boolean not null,
  -- content that every range of the entity has been brought to
  reached        text,
  primary key (entity, source_table)
);

-- that content by key ranges of the look-up table, where rows can be followed to the entity's own;
-- row_count -1 in ranges in which rows changed while the entity was read: what it saw is unknown
create table if not exists migration.lookup_ranges (
  entity       text not null,
  source_table text not null,
  range        bigint not null,
  row_count    bigint not null,
  sum_a        numeric not null,
  sum_b        numeric not null,
  primary key (entity, source_table, range)
);

-- the same as the current run finds it
create table if not exists migration.seen (
  entity         text not null,
  source_table   text not null,
  followed       boolean not null,
  columns        text[] not null,
  version_digest text not null,
  content_digest text,
  taken          boolean not null default false,
  primary key (entity, source_table)
);
create table if not exists migration.contents (
  source_table text not null,
  columns      text[] not null,
  range        bigint not null,
  row_count    bigint not null,
  sum_a        numeric not null,
  sum_b        numeric not null,
  primary key (source_table, columns, range)
);

-- rows of an entity whose look-ups changed, to be read by the run that found them
create table if not exists migration.affected (
  entity     text not null,
  legacy_key bigint not null,
  primary key (entity, legacy_key)
);

-- one row per entity and attempt
create table if not exists migration.control (
  run         bigint not null references migration.runs,
  entity      text not null,
  phase       text not null,
  status      text not null check (status in ('running', 'done', 'failed')),
  source      bigint,
  inserted    bigint not null default 0,
  updated     bigint not null default 0,
  unchanged   bigint,
  kept        bigint not null default 0,
  rejected    bigint,
  filtered    bigint,
  gone        bigint not null default 0,
  rows_read   bigint not null default 0,
  balanced    boolean,
  file_hash   text,
  started_at  timestamptz not null,
  finished_at timestamptz,
  error       text,
  -- rows that made the attempt fail and were rolled back with it, the first of them:
  -- [{"key", "reason", "sqlstate", "constraint", "column"}]
  refused     jsonb,
  primary key (run, entity)
);

-- checkpoint of one key range: sums over the (key, version) pairs that the ledger itself holds. Where
-- the source's sums are equal it holds exactly these rows: with an equal basis nothing is to be read
create table if not exists migration.ranges (
  entity      text not null,
  range       bigint not null,
  row_count   bigint not null,
  sum_a       numeric not null,
  sum_b       numeric not null,
  basis       text not null,
  source_rows bigint not null,
  merged      bigint not null,
  rejected    bigint not null,
  filtered    bigint not null,
  run         bigint not null,
  -- content of the followed look-ups it was brought to
  seen        text not null default '',
  -- number of the method by which the hashes of its rows were made
  method      integer not null,
  -- and the columns they were made of, {"column": "type"}; NULL = those of its time are not known
  columns     jsonb,
  primary key (entity, range)
);

create table if not exists migration.rejects (
  entity          text not null,
  legacy_id       bigint not null,
  kind            text not null check (kind in ('rule', 'error')),
  reason          text not null,
  sqlstate        text,
  constraint_name text,
  column_name     text,
  -- the source row as it was read; NULL until the end of the entity
  source_row      jsonb,
  version         bigint,
  first_run       bigint not null,
  last_run        bigint not null,
  resolved_run    bigint,
  primary key (entity, legacy_id)
);

-- rows left out on purpose; with the id maps and the rejects every source row is in one place
create table if not exists migration.filtered (
  entity    text not null,
  legacy_id bigint not null,
  reason    text not null,
  version   bigint,
  primary key (entity, legacy_id)
) with (fillfactor = 90);

-- mapped keys that are no longer a row to store
create table if not exists migration.gone (
  entity    text not null,
  legacy_id bigint not null,
  id        uuid not null,
  reason    text not null check (reason in ('deleted', 'filtered', 'rejected')),
  run       bigint not null,
  primary key (entity, legacy_id)
);

-- rows of the application as they were before we overwrote or removed them
create table if not exists migration.before_images (
  image_id  bigint generated always as identity primary key,
  entity    text not null,
  legacy_id bigint not null,
  id        uuid not null,
  -- released: a row that is gone and kept gave up a unique value
  reason    text not null check (reason in ('adopted', 'changed', 'removed', 'released')),
  image     json not null,
  run       bigint not null,
  taken_at  timestamptz not null default clock_timestamp()
);
create index if not exists before_images_row_idx on migration.before_images (entity, id);

-- rows of the application's table of old and new ids as they were before an entity came to it
-- (before_us), and those that were not as we left them
create table if not exists migration.mapping_images (
  image_id  bigint generated always as identity primary key,
  entity    text not null,
  legacy_id bigint not null,
  new_id    uuid,
  image     json not null,
  before_us boolean not null,
  run       bigint not null,
  taken_at  timestamptz not null default clock_timestamp()
);
create index if not exists mapping_images_row_idx
on migration.mapping_images (entity, legacy_id);

-- rows the application changed or deleted after we wrote them and whose source changed too
create table if not exists migration.conflicts (
  conflict_id bigint generated always as identity primary key,
  entity      text not null,
  legacy_id   bigint not null,
  id          uuid not null,
  kind        text not null check (kind in ('changed', 'deleted')),
  resolution  text not null check (resolution in ('source', 'target')),
  run         bigint not null,
  found_at    timestamptz not null default clock_timestamp()
);
create index if not exists conflicts_entity_idx on migration.conflicts (entity);

-- one row in every subtransaction that writes application tables: a target row whose xmin is not
-- the xmin of one of these was changed by somebody else, in whatever column
create table if not exists migration.writes (
  run bigint not null
);

create table if not exists migration.check_results (
  run        bigint,
  name       text not null,
  severity   text not null,
  findings   bigint not null,
  checked_at timestamptz not null default clock_timestamp(),
  -- what the verdict says of so many rows
  says       text
);

-- findings of a check that a person accepted: silent from then on, in these very words
create table if not exists migration.acknowledged (
  check_name text not null,
  finding    text not null,
  reason     text not null,
  who        text not null default session_user,
  at         timestamptz not null default clock_timestamp()
);
create index if not exists acknowledged_check_idx on migration.acknowledged (check_name);

-- append-only audit trail
create table if not exists migration.events (
  event    bigint generated always as identity primary key,
  at       timestamptz not null default clock_timestamp(),
  run      bigint,
  who      text not null default session_user,
  client   text not null default coalesce(host(inet_client_addr()), 'local'),
  program  text not null default current_setting('application_name'),
  what     text not null,
  details  jsonb not null default '{}'
);

create or replace function migration.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'migration.events is append-only' using errcode = 'insufficient_privilege';
end
$$;

create or replace trigger events_append_only before update or delete or truncate
on migration.events for each statement execute function migration.refuse_change();

-- the name and columns the application knows
create or replace view migration.migration_control as
select
  row_number() over (order by c.run, c.started_at)::integer    as id,
  c.phase,
  c.entity                                                      as table_name,
  r.command                                                     as operation,
  c.status,
  (c.inserted + c.updated + c.unchanged + c.kept)::bigint       as records_processed,
  c.source                                                      as total_records,
  c.error                                                       as error_message,
  c.started_at,
  c.finished_at                                                 as completed_at
from migration.control as c
join migration.runs as r on r.run = c.run;

-- These files are installed now, and nothing is prepared for them.
create or replace function migration.mark_installed(edition integer, hash text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into migration.installed (edition, hash) values (mark_installed.edition, mark_installed.hash)
  on conflict (one_row) do update set edition = excluded.edition, hash = excluded.hash,
    prepared = null, installed = clock_timestamp()
$$;
