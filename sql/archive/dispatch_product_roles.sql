-- Product roles: the application has no relation of products to roles.
--
-- target  legacy_archive.dispatch_product_roles
-- source  dispatch_product_roles

create table if not exists legacy_archive.dispatch_product_roles (
  id         integer primary key,
  product_id integer,
  role_id    integer
);
