-- content types are found by name, 58 by number too
update django_content_type set app_label = 'dispatch', model = 'account' where id = 58;
insert into django_content_type (id, app_label, model) values
  (20, 'auth', 'user'),
  (21, 'dispatch', repeat('m', 51));

insert into auth_user (id) values (1), (7);
insert into dispatch_patient (id, user_id) values (7, 1);

insert into dispatch_record (id, target_type_id, target_id, created_at, text) values
  (1, 13, 7, '2024-05-06 00:00:00+00', 'n'),
  (2, 20, 7, '2024-05-06 00:00:00+00', 'n'),
  (6, 21, 7, '2024-05-06 00:00:00+00', 'n'),
  (7, 58, 7, '2024-05-06 00:00:00+00', 'n');
