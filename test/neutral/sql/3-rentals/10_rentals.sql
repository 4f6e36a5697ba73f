-- Rentals: one per rental, the largest table.
--
-- target     public.rentals
-- source     rental
-- key        rental_id
-- adopt      legacy_rental_id
-- commit     batch
-- tolerance  5 %
-- reject     orphan_customer  its customer is not stored

create view transform.rentals as
select
  r.rental_id   as legacy_key,
  r.rental_id   as legacy_rental_id,
  film.id       as film_id,
  customer.id   as customer_id,
  r.rented_at   as rented_at,
  r.returned_at as returned_at,
  case when r.film_id is not null and film.id is null then 'films' end as missing,
  case when customer.id is null then 'orphan_customer' end as reject
from legacy.rental as r
left join ids.films     as film     on film.legacy_id     = r.film_id
left join ids.customers as customer on customer.legacy_id = r.customer_id;
