-- Column removal, phase 2 of 4: deprecate.
--
-- The columns say so in their comments, and whoever still writes them is recorded in
-- migration.column_writes (role, application, client, time; no values).

-- Up Migration

comment on column public.profiles.insurance_info is
  'deprecated, will be removed: neither read nor write it';
comment on column public.profiles.medical_history is
  'deprecated, will be removed: neither read nor write it';
comment on column public.products.sku is
  'deprecated, will be removed: neither read nor write it';

-- not "update of": a BEFORE trigger may set a column that the statement does not name
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

select migration.start_counting();

-- Down Migration

delete from migration.statement_calls;

drop trigger migration_column_insert on public.products;
drop trigger migration_column_update on public.products;
drop trigger migration_column_insert on public.profiles;
drop trigger migration_column_update on public.profiles;
-- a later phase 2 begins its evidence anew
delete from migration.column_writes;

select migration.put_back_comments();
