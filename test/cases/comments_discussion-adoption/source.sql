insert into dispatch_comment (id, created_at, text, author_id, plan_id) values
  (1, '2024-05-06 00:00:00+00', 'one', null, 21),
  (2, '2024-05-06 00:00:00+00', 'two', null, 21);
