insert into dispatch_office (id, name) values (3, 'Three');
insert into auth_user (id) select generate_series(1, 20);
insert into auth_user (id) values (40);

insert into dispatch_patient
  (id, user_id, doctor_id, office_id, birthdate, sex, status, archived, suspended, schemes, suffix,
   submitted_at, updated_at)
values
  (101, 1, 40, 3, '1990-02-03', 1, 1, false, true, ' {"upper": 1} ', ' AB12 ',
   '2024-05-06 07:08:09+02', '2024-05-07 00:00:00.125+00');

-- everything NULL that may be
insert into dispatch_patient (id, user_id) values (102, 2);

insert into dispatch_patient (id, user_id, sex, status, archived) values
  (103, 3, 2, 2, false),
  (104, 4, 0, 4, false),
  (105, 5, 3, 10, false),
  (106, 6, -1, 3, false),
  (107, 7, null, 0, false),
  -- archived before every code
  (108, 8, null, 1, true),
  (109, 9, null, 2, true),
  (110, 10, null, null, true);

insert into dispatch_patient (id, user_id, doctor_id, office_id, schemes) values
  (111, 11, 99, 3, '{broken'),
  (112, 12, 40, 99, ''),
  (113, 13, 99, 99, '  '),
  -- any user may treat patients and is a doctor then
  (114, 14, 15, null, '{}'),
  -- longer numbers are not cut
  (531649, 16, null, null, ''),
  (1234567, 17, null, null, ''),
  (115, 99, 40, 3, ''),
  (116, 98, 99, 99, '');
