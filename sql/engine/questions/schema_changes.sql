-- The schema changes of a folder that are made, in their order: $1 = additive or removal. Asked where
-- nothing but the table of them may be there.

select
  h.name,
  h.hash
from migration.schema_change_hashes as h
where h.folder = $1
order by h.name collate "C";
