-- 3D clients: purpose unknown, perhaps the client of the 3D software.
--
-- target  legacy_archive.dispatch_client3d
-- source  dispatch_client3d

create table if not exists legacy_archive.dispatch_client3d (
  id   integer primary key,
  name varchar(255)
);
