-- Sales of doctor settings: the link rows; the user ids are in doctors.metadata too.
--
-- target  legacy_archive.dispatch_doctorsetting_sales
-- source  dispatch_doctorsetting_sales

create table if not exists legacy_archive.dispatch_doctorsetting_sales (
  id               integer primary key,
  doctorsetting_id integer,
  user_id          integer
);
