-- Every source row is in exactly one place: stored, rejected or filtered, as the ledger counts.
-- What is counted where it is kept must be what the ranges and the last attempt say.
--
-- severity  error

with places as (
  select c.entity_name, c.merged, c.rejected, c.filtered from migration.ledger_counts() as c
),
ranges as (
  select
    r.entity,
    sum(r.source_rows) as source_rows,
    sum(r.merged)      as merged,
    sum(r.rejected)    as rejected,
    sum(r.filtered)    as filtered
  from migration.ranges as r
  group by r.entity
),
-- an attempt that failed says nothing about what the ranges hold now
attempts as (
  select
    c.entity,
    c.source,
    c.inserted + c.updated + c.unchanged + c.kept + c.rejected + c.filtered as accounted
  from (
    select distinct on (l.entity)
      l.entity, l.status, l.source,
      l.inserted, l.updated, l.unchanged, l.kept, l.rejected, l.filtered
    from migration.control as l
    order by l.entity, l.run desc
  ) as c
  where c.status = 'done'
)
select
  p.entity_name,
  r.source_rows as source_rows,
  p.merged      as merged_rows,
  r.merged      as merged_in_ranges,
  p.rejected    as rejected_rows,
  r.rejected    as rejected_in_ranges,
  p.filtered    as filtered_rows,
  r.filtered    as filtered_in_ranges,
  a.source      as source_of_attempt,
  a.accounted   as accounted_in_attempt
from places as p
left join ranges   as r on r.entity = p.entity_name
left join attempts as a on a.entity = p.entity_name
where coalesce(r.source_rows, 0) <> p.merged + p.rejected + p.filtered
  or (coalesce(r.merged, 0), coalesce(r.rejected, 0), coalesce(r.filtered, 0))
    <> (p.merged, p.rejected, p.filtered)
  or a.source <> a.accounted
  or a.source <> coalesce(r.source_rows, 0);
