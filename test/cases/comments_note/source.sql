insert into auth_user (id) values (40);

insert into dispatch_note (id, created_at, text, author_id, doctor_id) values
  (1, '2024-05-06 07:08:09.25+02', E' first\n second ', 40, 40),
  (2, '2024-05-06 00:00:00+00', '', null, 40),
  -- a doctor who is gone is none of its business
  (3, '2024-05-06 00:00:00+00', null, 99, 98);

-- the other entity of the table, with the same number
insert into dispatch_comment (id, created_at, text, author_id, plan_id) values
  (1, '2024-05-06 00:00:00+00', 'comment', 40, 21);
