insert into dispatch_office (id, name) values (3, 'Three');
insert into auth_user (id) values (1), (2), (3), (40);

insert into dispatch_patient (id, user_id, doctor_id, office_id, suffix) values
  (101, 1, 40, 3, ' AB12 '),
  (102, 2, null, null, ''),
  (103, 3, 99, 99, 'CD34'),
  -- rejected: the account is gone
  (104, 99, 40, 3, 'EF56');

-- the length of the suffix is assumed
insert into dispatch_instruction
  (id, patient_id, course_id, "order", suffix, status, submitted_at, updated_at, deleted, notes,
   complaint, objective, conditions, exports, model, scanner, scanner_notes, cbct,
   accept_extraction, comprehensive, upper_jaw_id, lower_jaw_id, price)
values
  (1, 101, 2, 7, ' XY ', 4, '2024-05-06 07:08:09+02', '2024-05-07 00:00:00.125+00', true, ' n ',
   ' c ', ' o ', ' {"a": 1} ', ' {"stl": true} ', 1, 2, ' s ', true,
   false, true, 71, 72, 997.00),
  -- changed before it was submitted
  (2, 102, 1, 1, '', 1, '2024-05-06 00:00:00+00', '2024-05-05 00:00:00+00', false, null,
   '', '', '', '', null, null, '', false,
   null, null, null, null, 0.00);

-- no times; references that lead nowhere
insert into dispatch_instruction (id, patient_id) values (3, 103);

insert into dispatch_instruction (id, patient_id, submitted_at, updated_at, exports) values
  (4, 102, null, '2024-05-05 00:00:00+00', '{}'),
  (5, 102, '2024-05-06 00:00:00+00', null, '  '),
  (6, 102, null, null, '{''a'': 1}'),
  (7, 102, null, null, '[1.50]');

insert into dispatch_instruction (id, patient_id, course_id, status) values
  (20, 102, 1, 0),
  (21, 102, 3, 2),
  (22, 102, 4, 3),
  (23, 102, 7, 5),
  (24, 102, 8, 6),
  (25, 102, 1, 7),
  (30, 999, 1, 1),
  (31, 104, 1, 1),
  (32, 102, 5, 1),
  (33, 102, 0, 1),
  (34, 102, 6, 1),
  (35, 102, 9, 1),
  (36, 102, 1, 8),
  (37, 102, 1, -1),
  (38, 102, 1, 11),
  -- the first reason counts
  (39, 102, 5, 8),
  (40, 999, 5, 8);

insert into dispatch_instruction (id, patient_id, suffix) values
  (50, 102, ' ABCDEFGHIJ '),
  (51, 102, 'ABCDEFGHIJK');
