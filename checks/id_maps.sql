-- Every entry of the id maps has its living row, no row has two, and ids follow from the keys.
-- Rows recognised in the target keep the id they had.
--
-- severity  error
-- edits     explain

select
  f.entity_name,
  f.fault,
  f.row_count,
  f.first_legacy_id
from migration.id_map_faults() as f;
