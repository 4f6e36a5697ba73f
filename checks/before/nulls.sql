-- Columns the mapping relies on hold no NULL.
-- The live source may lack the constraint; such rows would be rejected with SQLSTATE 23502.
--
-- severity  warning

select 'dispatch_instruction.course_id' as source_column, count(*) as row_count
from legacy.dispatch_instruction as i
where i.course_id is null
having count(*) > 0
union all
select 'dispatch_instruction.status', count(*)
from legacy.dispatch_instruction as i
where i.status is null
having count(*) > 0
union all
select 'dispatch_instruction.patient_id', count(*)
from legacy.dispatch_instruction as i
where i.patient_id is null
having count(*) > 0
union all
select 'dispatch_patient.user_id', count(*)
from legacy.dispatch_patient as p
where p.user_id is null
having count(*) > 0
union all
select 'dispatch_product.course_id', count(*)
from legacy.dispatch_product as d
where d.course_id is null
having count(*) > 0;
