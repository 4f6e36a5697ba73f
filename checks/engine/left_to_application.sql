-- No row was left to the application in a conflict.
-- Both sides had changed these rows and the run had `--on-conflict target`: the other checks leave
-- them out.
--
-- severity  warning

select
  c.entity                    as entity_name,
  c.kind,
  count(distinct c.legacy_id) as row_count,
  min(c.legacy_id)            as first_legacy_id
from migration.conflicts as c
where c.resolution = 'target'
group by c.entity, c.kind
order by 1, 2;
