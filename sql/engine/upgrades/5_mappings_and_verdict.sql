-- Edition 5: the application's table of old and new ids is kept in step; what checks say of the whole is
-- kept for the verdict.

alter table migration.settings add column if not exists mappings text;

alter table migration.entities
  add column if not exists mapping text,
  add column if not exists mapped  text;

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

alter table migration.check_results add column if not exists says text;
