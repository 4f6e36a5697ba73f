insert into auth_user (id) values (1), (2), (3), (40);
insert into dispatch_patient (id, user_id, doctor_id) values
  (101, 1, 40),
  (102, 2, null),
  -- the doctor is gone
  (103, 3, 99),
  -- rejected: the account is gone
  (104, 98, 40),
  (105, 97, 99);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 101, 1),
  (2, 102, 1),
  (3, 103, 1),
  -- rejected, each for another reason
  (4, 101, 5),
  (5, 999, 1),
  (6, 104, 1),
  (7, 105, 1);
insert into dispatch_project (id, uid, created_at, name, size, public, type, status) values
  (11, '00000000-0000-4000-8000-000000000011', '2024-01-01 00:00:00+00', '', 0, false, 3, 0);

alter table dispatch_plan
  alter column project_id set default 11,
  alter column name set default '',
  alter column original set default false;

insert into dispatch_plan (id, instruction_id, project_id, name, number, original, notes) values
  (1, 1, 11, ' Plan  A ', 2, true, ' n '),
  -- another one of the same project and order
  (2, 1, 11, '', null, false, null);

-- a name of 100 characters, and a longer one
insert into dispatch_plan (id, instruction_id, name) values
  (3, 1, concat(' ', repeat('12345678 あ', 10), ' ')),
  (4, 1, concat(' ', repeat('12345678 あ', 10), 'x '));

insert into dispatch_plan (id, instruction_id) values
  (10, 2),
  (11, 3),
  (12, 4),
  (13, 5),
  (14, 6),
  (15, 7),
  (16, 99);

insert into dispatch_plan (id, instruction_id, project_id) values
  (20, 1, 99),
  (21, 99, 98);
