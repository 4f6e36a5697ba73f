-- content types are found by name, 58 by number too
update django_content_type set app_label = 'dispatch', model = 'account' where id = 58;
insert into django_content_type (id, app_label, model) values
  (20, 'auth', 'user'),
  -- of the right name, but not ours
  (21, 'shop', 'product'),
  (22, 'dispatch', 'user');

insert into auth_user (id) values (7);
insert into dispatch_product (id, name) values (7, 'Seven');

insert into dispatch_link (id, item_type_id, item_id, external_id) values
  (1, 58, 7, ''),
  (2, 20, 7, ''),
  (10, 21, 7, ''),
  (11, 22, 7, ''),
  (12, 58, 99, '');
