-- Every entry of the id maps has its living row, no row has two, and ids follow from the keys.
-- Rows recognised in the target keep the id they had. Entries without a row are listed one by one:
-- a row that the application deleted on purpose is accepted by its key (`runner acknowledge`).
--
-- severity  error
-- edits     explain

select
  f.entity_name,
  f.fault,
  case when d.legacy_id is null then f.row_count else 1 end as row_count,
  coalesce(d.legacy_id, f.first_legacy_id)                  as first_legacy_id
from migration.id_map_faults() as f
left join lateral migration.deleted_rows(f.entity_name) as d
  on f.fault = 'the target has no such row';
