-- Offices: one per dispatch_office, valid or not; equal names and addresses stay different rows.
--
-- target   public.offices
-- source   dispatch_office
-- adopt    legacy_office_id
-- mapping  office

create view transform.offices as
select
  o.id                        as legacy_key,
  o.id::integer               as legacy_office_id,
  -- a missing name stays empty: no label is made up
  coalesce(btrim(o.name), '') as name,
  btrim(o.address)            as address,
  btrim(o.apt)                as apartment,
  btrim(o.city)               as city,
  btrim(o.state)              as state,
  -- not every country writes digits only: letters, dashes and + are kept, as in phone
  btrim(o.zip)                as zip_code,
  -- NULL stays NULL; supplied always, so that the default of the column never applies
  case
    when upper(btrim(o.country)) in (
      'US', 'U.S.', 'USA', 'U.S.A.', 'UNITED STATES', 'UNITED STATES OF AMERICA'
    ) then 'USA'
    else btrim(o.country)
  end                         as country,
  btrim(o.phone)              as phone,
  -- percent to fraction; a true rate of 1 % or less would be misread, so the raw one is kept
  case
    when o.tax_rate > 1 then round(o.tax_rate / 100, 6)
    else o.tax_rate
  end                         as tax_rate,
  o.sq_customer_id            as square_customer_id,
  o.emails                    as email_notifications,
  o.valid                     as is_active,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'doctor_id', o.doctor_id,
    'country',   o.country,
    'tax_rate',  o.tax_rate
  )))                         as metadata
from legacy.dispatch_office as o;
