insert into auth_user (id) values (1);
insert into dispatch_patient (id, user_id) values
  (101, 1),
  -- rejected: the account is gone
  (102, 99);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 101, 1),
  (2, 101, 1),
  -- the order is rejected, the case of its patient is there
  (3, 101, 5),
  (4, 999, 1),
  (5, 102, 1);

alter table dispatch_file
  alter column uid set default md5(random()::text)::uuid,
  alter column size set default 0,
  alter column type set default 8,
  alter column created_at set default '2024-05-06 00:00:00+00',
  alter column parameters set default '',
  alter column status set default 0;

insert into dispatch_file (id, instruction_id, created_at) values
  (1, 1, '2024-05-06 07:08:09.25+02');

insert into dispatch_file (id, instruction_id) values
  (2, 1),
  (3, 2),
  (4, 3),
  (10, 99),
  (11, 4),
  (12, 5),
  (16, null);

-- the file itself is rejected: the live source may lack the constraint
alter table dispatch_file alter column uid drop not null;
insert into dispatch_file (id, uid, instruction_id) values (13, null, 1);
