insert into auth_user (id) values (40);
-- what a reading refers to is unknown, even where there is a message of that number
insert into dispatch_record (id, target_id, created_at, text) values
  (7, 1, '2024-01-01 00:00:00+00', 'n');

insert into dispatch_reading (id, user_id, type, target_id, read_at) values
  (1, 40, 3, 7, '2024-05-06 07:08:09.25+02'),
  -- everything NULL that may be
  (2, 40, 0, null, null),
  (3, 99, -1, 7, null);
