insert into auth_user (id) values (1), (40), (41), (42), (43);
insert into auth_user_groups (user_id, group_id) values
  (40, 2),
  (41, 11),
  (42, 2), (42, 11),
  -- the account is gone, its membership is not
  (99, 2);
-- a doctor, but not in the group
insert into dispatch_office_doctors (office_id, user_id) values (1, 43);

insert into dispatch_patient (id, user_id) values
  (101, 1),
  -- rejected: the account is gone
  (102, 98);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 101, 1),
  -- rejected, each for another reason
  (2, 101, 5),
  (3, 999, 1),
  (4, 102, 1);
insert into dispatch_plan (id, instruction_id, project_id, name, original) values
  -- no project: a plan that is rejected leads to its order all the same
  (21, 1, 99, '', true),
  (22, 2, 99, '', true),
  (23, 3, 99, '', true),
  (24, 4, 99, '', true),
  (25, 99, 99, '', true);

insert into dispatch_comment (id, created_at, text, author_id, plan_id) values
  (1, '2024-05-06 07:08:09.25+02', E' \n\t First  line \r\nSecond line\n', 40, 21);

alter table dispatch_comment
  alter column created_at set default '2024-05-06 00:00:00+00',
  alter column text set default 'abcdef',
  alter column plan_id set default 21;

insert into dispatch_comment (id, text, author_id) values
  (2, 'abcdef', 42),
  (3, 'こんにちは。', 40),
  -- a first line of 101 characters
  (4, concat(repeat('12345678 あ', 10), E'x\ny'), 40),
  (10, 'abcde', 40),
  (11, E' \t\r\nabcde\n\n  ', 40),
  (12, 'こんにちは', 40),
  (13, '', 40),
  (14, null, 40),
  (15, E' \n \n \n ', 40),
  (20, 'abcdef', null),
  (21, 'abcdef', 41),
  (22, 'abcdef', 43),
  (23, 'abcdef', 97),
  -- both: the first reason counts
  (24, 'abcde', 41);

insert into dispatch_comment (id, author_id, plan_id) values
  (30, 40, 99),
  (31, 40, 22),
  (32, 40, 23),
  (33, 40, 24),
  (34, 40, 25),
  (35, 99, 21),
  (36, 99, 23);

-- the other entity of the table, with the same number
insert into dispatch_record (id, target_id, created_at, text, author_id) values
  (1, 101, '2024-05-06 00:00:00+00', 'record', 40);
