insert into auth_user (id) values (1);
insert into dispatch_patient (id, user_id) values
  (101, 1),
  -- rejected: the account is gone
  (102, 99);

insert into dispatch_event (id, patient_id, text, date, done, created_at, completed_at) values
  (1, 101, ' t ', '2024-02-29', true, '2024-05-06 07:08:09.25+02', '2024-05-07 00:00:00+00'),
  (2, 101, '', '2024-05-06', false, null, null),
  -- the flag counts, not the time
  (3, 101, 'n', '2024-05-06', true, null, null),
  (4, 101, 'n', '2024-05-06', false, null, '2024-05-07 00:00:00+00'),
  (10, 999, 'n', '2024-05-06', true, null, null),
  (11, 102, 'n', '2024-05-06', true, null, null);
