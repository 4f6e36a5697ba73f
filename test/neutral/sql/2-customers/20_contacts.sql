-- Contacts: the phone at home and the one at work, one row for each number of a customer.
--
-- target   public.contacts
-- source   Customer
-- key      CustomerId
-- part     kind  home, work
-- adopt    customer_id, kind
-- deletes  remove
-- filter   no_number     the customer has no such phone
-- filter   test_account  an account the shop made to try things
-- reject   orphan        its customer is not stored

create view transform.contacts as
select
  c."CustomerId" as legacy_key,
  customer.id    as customer_id,
  part.kind      as kind,
  case part.kind when 'home' then c."HomePhone" else c."WorkPhone" end as phone,
  case
    when c."IsTest" then 'test_account'
    when part.kind = 'home' and c."HomePhone" is null then 'no_number'
    when part.kind = 'work' and c."WorkPhone" is null then 'no_number'
  end            as filter,
  case when customer.id is null then 'orphan' end as reject
from legacy."Customer" as c
cross join (values ('home'::text), ('work'::text)) as part (kind)
left join ids.customers as customer on customer.legacy_id = c."CustomerId";
