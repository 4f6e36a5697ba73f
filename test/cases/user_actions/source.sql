insert into auth_user (id) values (40);

-- the length of the action is assumed
insert into dispatch_action
  (id, action, date, user_id, item_type_id, item_id, owner_type_id, owner_id, data)
values
  (1, ' created ', '2024-05-06 07:08:09.25+02', 40, 12, 7, 58, 40, ' {"a": 1} '),
  -- everything NULL that may be
  (2, '', '2024-05-06 00:00:00+00', null, null, null, null, null, null),
  (3, 'n', '2024-05-06 00:00:00+00', 99, 99, 7, 98, 8, ''),
  (4, repeat('x', 50), '2024-05-06 00:00:00+00', 40, null, 7, 11, null, 'n'),
  (5, repeat('x', 51), '2024-05-06 00:00:00+00', 40, null, null, null, null, 'n');
