-- Clients: purpose unknown, perhaps only an anchor for permissions.
--
-- target  legacy_archive.dispatch_client
-- source  dispatch_client

create table if not exists legacy_archive.dispatch_client (
  id   integer primary key,
  name varchar(255)
);
