insert into auth_user (id) values (1), (40), (41), (42), (43), (101);
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

insert into dispatch_record
  (id, target_type_id, target_id, type, created_at, text, author_id, group_id, public)
values
  (1, 11, 101, 6, '2024-05-06 07:08:09.25+02', E' \n\t First  line \r\nSecond line\n', 40, 2, true);

alter table dispatch_record
  alter column target_type_id set default 11,
  alter column target_id set default 101,
  alter column created_at set default '2024-05-06 00:00:00+00',
  alter column text set default 'abcdef';

insert into dispatch_record (id, text, author_id) values
  (2, 'abcdef', 42),
  (3, 'こんにちは。', 40),
  -- a first line of 101 characters
  (4, concat(repeat('12345678 あ', 10), E'x\ny'), 40),
  (10, 'abcde', 40),
  (11, E' \t\r\nabcde\n\n  ', 40),
  (12, 'こんにちは', 40),
  (13, '', 40),
  (14, E' \n \n \n ', 40),
  (20, 'abcdef', null),
  (21, 'abcdef', 41),
  (22, 'abcdef', 43),
  (23, 'abcdef', 97),
  -- both: the first reason counts
  (24, 'abcde', 41);

insert into dispatch_record (id, target_type_id, target_id, type, author_id) values
  -- the number of a patient, but none
  (30, 58, 101, 3, 40),
  (31, 12, 101, 5, 40),
  (32, 99, 101, 8, 40),
  (33, null, 101, 0, 40),
  (34, 11, 999, null, 40),
  (35, 11, 102, null, 40),
  (36, 11, 101, null, 99),
  (37, 11, 999, null, 99);

-- the other entity of the table, with the same number
insert into dispatch_comment (id, created_at, text, author_id, plan_id) values
  (1, '2024-05-06 00:00:00+00', 'comment', 40, 21);
