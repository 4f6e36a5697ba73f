-- Storage: one storage server.
--
-- target  legacy_archive.dispatch_storage
-- source  dispatch_storage

create table if not exists legacy_archive.dispatch_storage (
  id         integer primary key,
  name       varchar(255),
  address    varchar(255),
  port       integer,
  disk_total bigint,
  disk_free  bigint
);
