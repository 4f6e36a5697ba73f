-- What was paid is equal to the cent: by month, source = target + rejected.
-- Pairs are (source expression, target expression); groups follow them.
--
-- severity  error
-- reads     source
-- edits     explain

select
  d.entity_name,
  d.column_name,
  d.in_group,
  d.source_total,
  d.target_total,
  d.rejected_total
from (
  values
    ('payments', array[['s.amount', 't.amount']],
    $$to_char(s.paid_on, 'YYYY-MM')$$,
    $$to_char(t.paid_on, 'YYYY-MM')$$)
) as c (entity, pairs, source_group, target_group)
cross join lateral migration.money_differences(
  c.entity, c.pairs, c.source_group, c.target_group
) as d;
