-- Product successors: the application has no follow-up products.
--
-- target  legacy_archive.dispatch_product_successors
-- source  dispatch_product_successors

create table if not exists legacy_archive.dispatch_product_successors (
  id              integer primary key,
  from_product_id integer,
  to_product_id   integer
);
