-- Codes of orders, states and records are on the lists of the mapping.
-- Another code is not translated: its rows are rejected or keep the raw code only.
--
-- severity  warning

select
  'dispatch_instruction.course_id' as source_column,
  i.course_id                      as code,
  count(*)                         as row_count
from legacy.dispatch_instruction as i
where i.course_id not in (1, 2, 3, 4, 7, 8)
group by i.course_id
union all
select 'dispatch_instruction.status', i.status, count(*)
from legacy.dispatch_instruction as i
where i.status not between 0 and 7
group by i.status
union all
select 'dispatch_state.status', s.status, count(*)
from legacy.dispatch_state as s
where s.status not in (11, 12)
group by s.status
union all
select 'dispatch_record.type', r.type, count(*)
from legacy.dispatch_record as r
where r.type not in (3, 5, 6, 8)
group by r.type;
