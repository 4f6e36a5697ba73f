insert into dispatch_project (id, uid, created_at, name, size, public, type, status) values
  (11, '00000000-0000-4000-8000-000000000011', '2024-01-01 00:00:00+00', '', 0, false, 3, 0);
insert into dispatch_plan (id, instruction_id, project_id, name, number, original, notes) values
  (1, 99, 11, 'One', null, true, null),
  (2, 99, 11, 'Two', 2, false, 'n');
