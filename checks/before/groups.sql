-- The user groups the mapping depends on are what it takes them for.
-- Doctors, technicians, masters and feedback are told apart by these numbers.
--
-- severity  error

select
  expected.id   as group_id,
  expected.name as expected,
  g.name        as found
from (
  values (2, 'doctor'), (11, 'technician'), (4, 'administrator'), (5, 'master')
) as expected (id, name)
left join legacy.auth_group as g on g.id = expected.id
where g.name is null or position(expected.name in lower(g.name)) = 0;
