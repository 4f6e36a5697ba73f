-- Patients, doctor settings and user settings are one per user.
-- Where several share a user, the views take the one with the lowest id.
--
-- severity  warning

select 'dispatch_patient' as source_table, p.user_id, count(*) as row_count
from legacy.dispatch_patient as p
group by p.user_id
having count(*) > 1
union all
select 'dispatch_doctorsetting', s.user_id, count(*)
from legacy.dispatch_doctorsetting as s
group by s.user_id
having count(*) > 1
union all
select 'dispatch_usersetting', u.user_id, count(*)
from legacy.dispatch_usersetting as u
group by u.user_id
having count(*) > 1;
