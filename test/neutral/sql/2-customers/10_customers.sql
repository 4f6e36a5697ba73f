-- Customers: one per customer; what they have spent comes from a materialized view of the source.
--
-- target  public.customers
-- source  Customer
-- key     CustomerId
-- adopt   legacy_customer_id
-- filter  test_account  an account the shop made to try things

create view transform.customers as
select
  c."CustomerId"          as legacy_key,
  c."CustomerId"::integer as legacy_customer_id,
  c."FirstName"           as first_name,
  c."LastName"            as last_name,
  lower(c."EMail")        as email,
  country.id              as country_id,
  c."CountryCode"         as country_code,
  totals.amount           as spent,
  c."Notes"               as notes,
  c."CreatedAt"           as created_at,
  case when c."IsTest" then 'test_account' end as filter,
  case when c."CountryCode" is not null and country.id is null then 'countries' end as missing
from legacy."Customer" as c
left join legacy.customer_totals as totals on totals.customer_id = c."CustomerId"
left join ids.countries as country on country.legacy_id = migration.key_number(c."CountryCode");
