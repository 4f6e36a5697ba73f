-- What was paid for rentals is equal to the cent: by month, source = target + rejected.
-- Rows that are not stored are those without an amount, and nothing else.
--
-- severity  error
-- reads     source

with source_side as (
  select to_char(p.paid_on, 'YYYY-MM') as month, sum(p.amount) as total
  from legacy.payment as p
  group by 1
),
target_side as (
  select to_char(t.paid_on, 'YYYY-MM') as month, sum(t.amount) as total
  from billing.payments as t
  join ids.payments as m on m.id = t.id
  group by 1
)
select
  month,
  s.total as source_total,
  t.total as target_total
from source_side as s
full join target_side as t using (month)
where s.total is distinct from t.total;
