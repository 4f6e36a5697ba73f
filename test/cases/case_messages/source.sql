insert into auth_user (id) values (1), (40);
insert into dispatch_patient (id, user_id) values
  (101, 1),
  -- rejected: the account is gone
  (102, 98);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 101, 1),
  -- rejected, but the case of its patient is there
  (2, 101, 5),
  (3, 999, 1),
  (4, 102, 1);
insert into dispatch_project (id, uid, created_at, name, size, public, type, status) values
  (11, '00000000-0000-4000-8000-000000000011', '2024-01-01 00:00:00+00', '', 0, false, 3, 0);
insert into dispatch_plan (id, instruction_id, project_id, name, original) values
  (21, 1, 11, '', true),
  (22, 2, 11, '', true),
  -- rejected, but it leads to an order
  (23, 1, 99, '', true),
  (24, 99, 11, '', true),
  (25, 3, 11, '', true),
  (26, 4, 11, '', true);

insert into dispatch_comment (id, created_at, text, author_id, plan_id) values
  (1, '2024-05-06 07:08:09.25+02', E' first\n こんにちは ', 40, 21),
  (2, '2024-05-06 00:00:00+00', '', null, 22),
  (3, '2024-05-06 00:00:00+00', null, 99, 23),
  (10, '2024-05-06 00:00:00+00', 't', 40, 99),
  (11, '2024-05-06 00:00:00+00', 't', 40, 24),
  (12, '2024-05-06 00:00:00+00', 't', 40, 25),
  (13, '2024-05-06 00:00:00+00', 't', 40, 26);
