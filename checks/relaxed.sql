-- No row is NULL where a NOT NULL was lifted.
-- The source has no value for these rows, and none may be invented; the application has to expect
-- them. The columns are those of schema-changes/additive (a test compares them).
--
-- severity  warning
-- verdict   values are NULL where a NOT NULL was lifted

select r.table_name, r.column_name, r.row_count, r.first_keys
from migration.relaxed_nulls(array[
  ['public.orders', 'doctor_id'],
  ['public.cases', 'primary_doctor_id'],
  ['public.payments', 'order_id'],
  ['public.offers', 'order_id'],
  ['public.offers', 'offer_amount'],
  ['public.purchases', 'order_id'],
  ['public.purchases', 'unit_price'],
  ['public.purchases', 'total_amount'],
  ['public.projects', 'creator_id'],
  ['public.technician_roles', 'technician_id'],
  ['public.technician_roles', 'role_type'],
  ['public.order_states', 'to_status'],
  ['public.case_states', 'current_state']
]) as r;
