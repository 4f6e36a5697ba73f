-- Price lists: what things used to cost; the new shop has no place for it.
--
-- target  legacy_archive.price_list
-- source  price_list
-- key     price_code

create table if not exists legacy_archive.price_list (
  price_code text primary key,
  price      numeric(8,2),
  valid_from date,
  remark     text
);
