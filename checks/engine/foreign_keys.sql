-- Every foreign key leads to a row, is validated, and its triggers are at work.
-- Over all declared foreign keys of the schemas that entities write to, ours and those of the application.
--
-- severity  error

select
  f.table_name,
  f.constraint_name,
  f.fault,
  f.row_count
from migration.foreign_key_faults() as f;
