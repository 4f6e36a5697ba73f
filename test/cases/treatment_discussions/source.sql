insert into auth_user (id) values (40);
insert into dispatch_project (id, uid, created_at, name, size, public, type, status) values
  (11, '00000000-0000-4000-8000-000000000011', '2024-01-01 00:00:00+00', '', 0, false, 3, 0),
  (12, '00000000-0000-4000-8000-000000000012', '2024-01-01 00:00:00+00', '', 0, false, 3, 0);
insert into dispatch_plan (id, instruction_id, project_id, name, original) values
  -- an order that is missing is none of its business
  (21, 99, 11, '', true),
  (22, 99, 12, '', false),
  -- rejected: the project is gone
  (23, 99, 99, '', false);

insert into dispatch_comment (id, created_at, text, author_id, plan_id) values
  (1, '2024-05-06 07:08:09.25+02', 't', 40, 21),
  (2, '2024-05-06 00:00:00+00', '', null, 21),
  (3, '2024-05-06 00:00:00+00', null, 99, 22),
  (10, '2024-05-06 00:00:00+00', 't', 40, 99),
  (11, '2024-05-06 00:00:00+00', 't', 40, 23);
