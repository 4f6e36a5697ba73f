-- Masters of doctor settings: the link rows; the user ids are in doctors.metadata too.
--
-- target  legacy_archive.dispatch_doctorsetting_masters
-- source  dispatch_doctorsetting_masters

create table if not exists legacy_archive.dispatch_doctorsetting_masters (
  id               integer primary key,
  doctorsetting_id integer,
  user_id          integer
);
