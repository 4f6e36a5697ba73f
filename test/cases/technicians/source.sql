insert into auth_user (id, username, first_name, last_name, email, is_active, date_joined) values
  (1, 'tech', '  Ann ', ' Smith ', ' Ann@Example.COM ', true, '2011-12-31 23:00:00-05'),
  (2, 'doctor and technician', '', 'null', '', false, '2020-01-01 00:00:00+00'),
  (3, repeat('x', 50), '', '', 'ann@example.com', true, '2020-01-01 00:00:00+00'),
  (4, repeat('x', 51), '', '', 'Ann at example', true, '2020-01-01 00:00:00+00'),
  (5, ' padded ', '', '', '  ', true, '2020-01-01 00:00:00+00'),
  (6, 'profile is rejected', '', '', '', true, '2020-01-01 00:00:00+00'),
  (7, 'in all other groups', '', '', '', true, '2020-01-01 00:00:00+00'),
  (8, 'in none', '', '', '', true, '2020-01-01 00:00:00+00');

insert into auth_user_groups (user_id, group_id) values
  (1, 11), (2, 2), (2, 11), (3, 11), (4, 11), (5, 11), (6, 11),
  (7, 1), (7, 2), (7, 3), (7, 4), (7, 5),
  -- nobody
  (99, 11);

-- a suffix longer than assumed
insert into dispatch_patient (id, user_id, suffix) values (101, 6, 'ABCDEFGHIJK');
