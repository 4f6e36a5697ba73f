-- Edition 3: who wrote a target row is known after a restore of the target, too, and which columns a
-- hash is made of; foreign keys are checked set by set.

alter table migration.lease
  add column if not exists seal     text,
  add column if not exists restored xid8;

alter table migration.entities add column if not exists columns jsonb;

alter table migration.ranges add column if not exists columns jsonb;

alter table migration.work add column if not exists by_set boolean not null default false;

alter table migration.before_images
  drop constraint before_images_reason_check,
  add constraint before_images_reason_check
    check (reason in ('adopted', 'changed', 'removed', 'released'));
