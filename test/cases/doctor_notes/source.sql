-- any person will do as the doctor
insert into auth_user (id) values (40), (41);

insert into dispatch_note (id, created_at, text, author_id, doctor_id) values
  (1, '2024-05-06 07:08:09.25+02', ' t ', 41, 40),
  (2, '2024-05-06 00:00:00+00', '', null, 40),
  (3, '2024-05-06 00:00:00+00', null, 99, 40),
  (10, '2024-05-06 00:00:00+00', 't', 41, 99),
  (11, '2024-05-06 00:00:00+00', 't', 98, 99);
