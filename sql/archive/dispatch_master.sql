-- Masters: purpose unknown, perhaps an anchor for permissions of master users.
--
-- target  legacy_archive.dispatch_master
-- source  dispatch_master

create table if not exists legacy_archive.dispatch_master (
  id   integer primary key,
  name varchar(255)
);
