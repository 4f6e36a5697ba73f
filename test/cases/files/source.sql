insert into auth_user (id) values (1);
insert into dispatch_patient (id, user_id) values (101, 1);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 101, 1),
  -- rejected: the course is unknown
  (2, 101, 5);

insert into dispatch_file
  (id, uid, name, ext, size, type, instruction_id, created_at, description, product_id,
   parameters, record_id, status)
values
  (1, '00000000-0000-4000-8000-000000000001', ' upper.stl ', '.stl', 12345678901, 6, 1,
   '2024-05-06 07:08:09.25+02', ' d ', 5, ' {"a": null, "b": [1, 2.50]} ', 7, 3);

alter table dispatch_file
  alter column size set default 0,
  alter column type set default 8,
  alter column created_at set default '2024-05-06 00:00:00+00',
  alter column parameters set default '',
  alter column status set default 0;

insert into dispatch_file (id, uid, name, ext, instruction_id) values
  -- without a name
  (2, '00000000-0000-4000-8000-000000000002', null, null, null),
  (3, '00000000-0000-4000-8000-000000000003', '  ', ' .JPG ', 1),
  (4, '00000000-0000-4000-8000-000000000004', '', '.zip', 1),
  -- doubled extension
  (5, '00000000-0000-4000-8000-000000000005', 'a.stl.stl', '.stl', null),
  (6, '00000000-0000-4000-8000-000000000006', 'n', null, 99),
  (7, '00000000-0000-4000-8000-000000000007', 'n', null, 2);

insert into dispatch_file (id, uid, name, parameters) values
  (10, '00000000-0000-4000-8000-000000000010', 'n', '  '),
  (11, '00000000-0000-4000-8000-000000000011', 'n', '{''a'': 1}'),
  -- JSON that jsonb cannot hold
  (12, '00000000-0000-4000-8000-000000000012', 'n', '{"a": "\u0000"}'),
  (13, '00000000-0000-4000-8000-000000000013', 'n', 'null'),
  (14, '00000000-0000-4000-8000-000000000014', 'n', '"text"');

-- every extension that is known, and some that are not
insert into dispatch_file (id, uid, name, ext) values
  (20, '00000000-0000-4000-8000-000000000020', 'n', '.jpeg'),
  (21, '00000000-0000-4000-8000-000000000021', 'n', '.png'),
  (22, '00000000-0000-4000-8000-000000000022', 'n', '.gif'),
  (23, '00000000-0000-4000-8000-000000000023', 'n', '.dcm'),
  (24, '00000000-0000-4000-8000-000000000024', 'n', '.dxf'),
  (25, '00000000-0000-4000-8000-000000000025', 'n', '.pdf'),
  (26, '00000000-0000-4000-8000-000000000026', 'n', '.txt'),
  (27, '00000000-0000-4000-8000-000000000027', 'n', '.ply'),
  (28, '00000000-0000-4000-8000-000000000028', 'n', ''),
  (29, '00000000-0000-4000-8000-000000000029', 'n', 'stl'),
  (30, '00000000-0000-4000-8000-000000000030', 'n', '.jpg');
