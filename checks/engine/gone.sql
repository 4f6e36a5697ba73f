-- Every migrated row still has its source row.
-- Rows whose source row was deleted, or is filtered or rejected by now, are kept: an entity file
-- without `deletes remove` lists them here.
--
-- severity  warning

select
  g.entity         as entity_name,
  g.reason,
  count(*)         as row_count,
  min(g.legacy_id) as first_legacy_id
from migration.gone as g
group by g.entity, g.reason
order by 1, 2;
