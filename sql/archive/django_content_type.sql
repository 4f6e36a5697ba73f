-- Content types: without them the raw type ids in metadata are unreadable.
--
-- target  legacy_archive.django_content_type
-- source  django_content_type

create table if not exists legacy_archive.django_content_type (
  id        integer primary key,
  app_label varchar(100),
  model     varchar(100)
);
