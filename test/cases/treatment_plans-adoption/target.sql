insert into profiles (id, profile_type, first_name, last_name) values
  ('00000000-0000-4000-8000-000000000021', 'client', 'Somebody', 'Else');
insert into projects (id, name, project_type, creator_id, legacy_project_id) values
  ('00000000-0000-4000-8000-000000000031', 'old', 'other', '00000000-0000-4000-8000-000000000021',
   11);

-- the key is not unique: the oldest row is taken; without a date it comes last
insert into treatment_plans
  (id, project_id, plan_number, plan_name, treatment_type, revision_count, created_at, updated_at,
   legacy_plan_id)
values
  ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000031', 1, 'a', 'x', 1,
   '2024-01-02', '2024-02-02', 1),
  ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000031', 2, 'b', 'y', 2,
   '2024-01-01', '2024-02-01', 1),
  ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000031', 3, 'c', 'z', 3,
   null, null, 1),
  ('00000000-0000-4000-8000-000000000004', '00000000-0000-4000-8000-000000000031', 4, 'Two', 'ours',
   4, '2023-01-01', '2023-01-01', null);
