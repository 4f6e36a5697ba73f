-- Shop orders: known to be empty; raw ids stay in the metadata of tasks and payments.
--
-- target  legacy_archive.dispatch_order
-- source  dispatch_order

create table if not exists legacy_archive.dispatch_order (
  id           integer primary key,
  status       integer,
  doctor_id    integer,
  course_id    integer,
  custom_price numeric(10,2)
);
