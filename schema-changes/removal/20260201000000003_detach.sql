-- Column removal, phase 3 of 4: detach.
--
-- The application's own objects that read the columns get the same signature without them: NULL
-- for a value, false for "is there one". The API roles may no longer write the columns: their
-- privileges to insert and update on the two tables become privileges on the other columns. They
-- still read them, since `select *` needs every column: that ends with the columns, in phase 4. All
-- of it comes back in milliseconds with down.

-- Up Migration

-- what was written since phase 1; before the view is locked
select migration.back_up_columns();

-- fails when one of the four is not there
select migration.keep_definition('public.app_patient_insurance'::regclass);
select migration.keep_definition('public.app_product_by_sku(text)'::regprocedure);
select migration.keep_definition('public.app_has_insurance(uuid)'::regprocedure);
select migration.keep_definition('public.app_product_label(uuid)'::regprocedure);

create or replace view public.app_patient_insurance with (security_invoker = true) as
select
  pt.id             as patient_id,
  pt.patient_number,
  null::text        as insurance_provider,
  null::text        as insurance_policy,
  false             as has_insurance_info
from public.patients as pt
join public.profiles as pr on pr.id = pt.profile_id;

create or replace function public.app_product_by_sku(wanted text) returns uuid
language sql stable
return null::uuid;

create or replace function public.app_has_insurance(profile uuid) returns boolean
language sql stable
return false;

create or replace function public.app_product_label(product uuid) returns text
language sql stable
begin atomic
  select concat_ws(' ', p.name) from public.products as p where p.id = product;
end;

select migration.withdraw_columns();

-- Down Migration

select migration.return_privileges();
delete from migration.column_privileges;
select migration.put_back_definitions();
