-- Payments: one per number and day, from all partitions.
--
-- target     billing.payments
-- source     payment
-- key        payment_id, paid_on
-- adopt      none
-- tolerance  5 %
-- reject     no_amount  nobody knows how much was paid

create view transform.payments as
select
  migration.key_number(row(p.payment_id, p.paid_on)) as legacy_key,
  rental.id                                          as rental_id,
  p.payment_id                                       as number,
  p.paid_on                                          as paid_on,
  p.amount                                           as amount,
  p.method::text::billing.method                     as method,
  case when p.rental_id is not null and rental.id is null then 'rentals' end as missing,
  case when p.amount is null then 'no_amount' end    as reject
from legacy.payment as p
left join ids.rentals as rental on rental.legacy_id = p.rental_id;
