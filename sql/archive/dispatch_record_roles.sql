-- Record roles: who may see a record; kept for the day visibility is settled.
--
-- target  legacy_archive.dispatch_record_roles
-- source  dispatch_record_roles

create table if not exists legacy_archive.dispatch_record_roles (
  id        integer primary key,
  record_id integer,
  role_id   integer
);
