-- The archive holds every row of its source tables, column by column.
-- Tables whose source has changed since the last run are left out; secrets are not compared.
--
-- severity  error
-- reads     source

select
  d.table_name,
  d.row_count,
  d.first_id
from migration.archive_differences() as d;
