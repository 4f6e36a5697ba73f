-- The application's table of old and new ids holds every mapped key of its types, and no other.
-- What others have changed there is put right by the next chunk that holds the key, and all of it by
-- `up --full`. Nothing is looked at where the target has no such table.
--
-- severity  error

select f.entity_name, f.entity_type, f.fault, f.row_count, f.first_legacy_id
from migration.mapping_faults() as f;
