-- Texts fit the limited columns of the target.
-- A longer one is rejected with SQLSTATE 22001; it is never cut.
--
-- severity  warning

select
  'dispatch_instruction.suffix' as source_column,
  10                            as allowed,
  max(length(btrim(i.suffix)))  as longest
from legacy.dispatch_instruction as i
having max(length(btrim(i.suffix))) > 10
union all
select 'dispatch_patient.suffix', 10, max(length(btrim(p.suffix)))
from legacy.dispatch_patient as p
having max(length(btrim(p.suffix))) > 10
union all
select 'dispatch_bracket.name', 255, max(length(b.name))
from legacy.dispatch_bracket as b
having max(length(b.name)) > 255
union all
select 'dispatch_bracket.type', 100, max(length(b.type))
from legacy.dispatch_bracket as b
having max(length(b.type)) > 100
union all
select 'dispatch_action.action', 50, max(length(a.action))
from legacy.dispatch_action as a
having max(length(a.action)) > 50;
