insert into dispatch_office (id, name) values (3, 'Three');
insert into auth_user (id) select generate_series(1, 20);
insert into auth_user (id) values (40);

insert into dispatch_patient
  (id, user_id, doctor_id, office_id, status, archived, suspended, schemes, suffix,
   submitted_at, updated_at)
values
  (101, 1, 40, 3, 1, false, true, '{"upper": 1}', ' AB12 ',
   '2024-05-06 07:08:09+02', '2024-05-07 00:00:00.125+00');

-- everything NULL that may be
insert into dispatch_patient (id, user_id) values (102, 2);

insert into dispatch_patient
  (id, user_id, status, archived, suspended, suffix, submitted_at, updated_at)
values
  -- changed before it was submitted
  (103, 3, 4, false, false, '   ', '2024-05-06 00:00:00+00', '2024-05-05 00:00:00+00'),
  -- archived is not deleted
  (104, 4, 2, true, true, 'X', null, '2024-05-05 00:00:00+00'),
  (105, 5, 10, false, false, 'ABCDEFGHIJ', '2024-05-06 00:00:00+00', null);

-- codes without a meaning
insert into dispatch_patient (id, user_id, status) values
  (106, 6, 0),
  (107, 7, 3),
  (108, 8, 11),
  (109, 9, -1);

insert into dispatch_patient (id, user_id, doctor_id, office_id) values
  (110, 10, 99, 99),
  (111, 11, 99, 3),
  (112, 12, 40, 99),
  -- the patient is rejected: the account is gone
  (113, 99, 40, 3);
