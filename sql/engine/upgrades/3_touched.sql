-- Edition 3: who wrote a target row is known after a restore of the target, too, and which columns a
-- hash is made of; foreign keys are checked set by set.

alter table migration.lease
  add column seal     text,
  add column restored xid8;

alter table migration.entities add column columns jsonb;

alter table migration.ranges add column columns jsonb;

alter table migration.work add column by_set boolean not null default false;
