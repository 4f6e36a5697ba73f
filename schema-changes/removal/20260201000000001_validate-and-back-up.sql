-- Column removal, phase 1 of 4: validate and back up.
--
-- Removes in the end profiles.insurance_info, profiles.medical_history and products.sku, nothing
-- else. profiles.legacy_patient_id stays. This phase changes nothing of the application.
-- The functions are in sql/engine/80_removal.sql.

-- Up Migration

-- raises unless all three are there and can be kept exactly
select migration.describe_columns();
-- copies every value and compares the copy with the table
select migration.back_up_columns();

-- Down Migration

delete from migration.column_backups;
delete from migration.column_definitions;
