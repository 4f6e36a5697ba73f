insert into auth_user (id) values (1);
insert into dispatch_patient (id, user_id) values
  (101, 1),
  -- rejected: the account is gone
  (102, 99);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 101, 1),
  -- rejected, each for another reason
  (2, 101, 5),
  (3, 999, 1),
  (4, 102, 1);

alter table dispatch_file
  alter column uid set default md5(random()::text)::uuid,
  alter column size set default 0,
  alter column type set default 8,
  alter column created_at set default '2024-05-06 00:00:00+00',
  alter column parameters set default '',
  alter column status set default 0;

insert into dispatch_file
  (id, name, ext, size, type, instruction_id, created_at, description, product_id,
   parameters, record_id, status)
values
  -- product and record stay raw, wherever they lead
  (1, ' upper.stl ', ' .STL ', 12345678901, 6, 1, '2024-05-06 07:08:09.25+02', ' d ', 5,
   ' {"a": null, "b": 2.50} ', 7, 3);

insert into dispatch_file (id, name, ext, instruction_id, parameters) values
  (2, null, null, 1, '  '),
  (3, '', '', 1, '{''a'': 1}'),
  (4, 'n', 'stl', 1, '[]');

-- every extension that has a category
insert into dispatch_file (id, ext, instruction_id) values
  (10, '.ply', 1),
  (11, '.jpg', 1),
  (12, '.jpeg', 1),
  (13, '.png', 1),
  (14, '.gif', 1),
  (15, '.pdf', 1),
  (16, '.zip', 1),
  (17, '.rar', 1),
  (18, '.tar', 1),
  (19, '.dcm', 1);

insert into dispatch_file (id, name, instruction_id) values
  (20, null, 99),
  (21, null, 2),
  (22, null, 3),
  (23, null, 4),
  (26, null, null);

-- the file itself is rejected: the live source may lack the constraint
alter table dispatch_file alter column uid drop not null;
insert into dispatch_file (id, uid, instruction_id) values (24, null, 1);
