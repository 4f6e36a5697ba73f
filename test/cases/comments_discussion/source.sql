insert into auth_user (id) values (40);

insert into dispatch_comment (id, created_at, text, author_id, plan_id) values
  (1, '2024-05-06 07:08:09.25+02', E' first\n こんにちは ', 40, 21),
  (2, '2024-05-06 00:00:00+00', '', null, 21),
  (3, '2024-05-06 00:00:00+00', null, 99, 22);

-- the other entity of the table, with the same number
insert into dispatch_note (id, created_at, text, author_id, doctor_id) values
  (1, '2024-05-06 00:00:00+00', 'note', 40, 40);
