-- Column removal, phase 4 of 4: drop.
--
-- Refused while something uses the columns, or used them since phase 2. A `select *` of the API
-- waits for the locks, less than a second, and goes on without the columns. The API roles get their
-- privileges to write the two tables back as they were. Down restores columns, values, triggers,
-- comments and privileges; the columns stand last in their tables then, since PostgreSQL adds
-- columns nowhere else.

-- Up Migration

-- at most four waits, two of which readers may have to share: they wait less than 500 ms and one
-- try ends in less than a second
set local lock_timeout = '200ms';

-- no more writes; reads go on
lock table public.profiles, public.products in share row exclusive mode;
select migration.require_no_dependents();
select migration.require_no_use();
-- what was written since phase 3
select migration.back_up_columns();

lock table public.profiles, public.products in access exclusive mode;
drop trigger migration_column_insert on public.products;
drop trigger migration_column_update on public.products;
drop trigger migration_column_insert on public.profiles;
drop trigger migration_column_update on public.profiles;

alter table public.profiles
  drop column insurance_info,
  drop column medical_history;
alter table public.products
  drop column sku;

select migration.return_privileges();
select migration.renew_row_functions();

-- Down Migration

set local lock_timeout = '200ms';
lock table public.profiles, public.products in access exclusive mode;
-- the values are written while the tables are locked: some milliseconds per thousand rows
select migration.restore_columns();

comment on column public.profiles.insurance_info is
  'deprecated, will be removed: neither read nor write it';
comment on column public.profiles.medical_history is
  'deprecated, will be removed: neither read nor write it';
comment on column public.products.sku is
  'deprecated, will be removed: neither read nor write it';

create trigger migration_column_update
after update on public.profiles for each row
when (
  new.insurance_info is distinct from old.insurance_info
  or new.medical_history is distinct from old.medical_history
)
execute function migration.record_column_write('insurance_info', 'medical_history');

create trigger migration_column_insert
after insert on public.profiles for each row
when (new.insurance_info is not null or new.medical_history is not null)
execute function migration.record_column_write('insurance_info', 'medical_history');

create trigger migration_column_update
after update on public.products for each row
when (new.sku is distinct from old.sku)
execute function migration.record_column_write('sku');

create trigger migration_column_insert
after insert on public.products for each row
when (new.sku is not null)
execute function migration.record_column_write('sku');

select migration.withdraw_columns();
select migration.renew_row_functions();
