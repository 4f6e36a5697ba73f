-- The source is as the last run read it: the same rows in the same versions.
-- Another run brings what is listed. Until then the checks that compare with the source leave
-- these rows out.
--
-- severity  warning
-- reads     source

select
  d.entity_name,
  d.source_table,
  d.ranges,
  d.row_change
from migration.source_drift() as d
order by 1;
