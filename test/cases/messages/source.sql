insert into auth_user (id) values (1), (40), (101);
insert into dispatch_patient (id, user_id) values
  (101, 1),
  -- rejected: the account is gone
  (102, 99);
-- the number of a patient and of a user, but neither of them
insert into dispatch_instruction (id, patient_id) values (101, 101);

alter table dispatch_record
  alter column target_id set default 101,
  alter column created_at set default '2024-05-06 00:00:00+00',
  alter column text set default 'n';

insert into dispatch_record
  (id, target_type_id, target_id, type, created_at, text, author_id, group_id, public)
values
  (1, 11, 101, 6, '2024-05-06 07:08:09.25+02', ' t ', 40, 2, false),
  (2, 58, 101, 3, '2024-05-06 00:00:00+00', 'こんにちは', 40, null, true);

-- what has no type, target or author
insert into dispatch_record (id, text) values (3, '');

insert into dispatch_record (id, target_type_id, type) values
  (4, 11, 5),
  (5, 11, 8),
  (6, 11, 7),
  (7, 11, 0),
  -- other models, and none
  (10, 12, 5),
  (11, 99, 5);

insert into dispatch_record (id, target_type_id, target_id, author_id) values
  (20, 11, 999, null),
  (21, 11, 102, null),
  (22, 58, 99, null),
  (23, 58, 40, 99),
  (24, 11, 999, 99),
  (25, 58, 99, 98);
