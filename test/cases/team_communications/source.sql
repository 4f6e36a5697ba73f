insert into auth_user (id) values (40);

insert into dispatch_note (id, created_at, text, author_id, doctor_id) values
  (1, '2024-05-06 07:08:09.25+02', E' first\n second ', 40, 40),
  (2, '2024-05-06 00:00:00+00', '', 40, 40),
  -- a doctor who is gone is none of its business
  (3, '2024-05-06 00:00:00+00', null, 40, 99),
  (10, '2024-05-06 00:00:00+00', 't', null, 40),
  (11, '2024-05-06 00:00:00+00', 't', null, 99),
  (12, '2024-05-06 00:00:00+00', 't', 99, 40);
