insert into dispatch_office (id, name) values (2, 'Two'), (3, 'Three');
insert into auth_user (id) values (1), (2), (3);

insert into dispatch_office_doctors (id, office_id, user_id) values
  (10, 3, 1),
  -- the lowest that exists is the primary one
  (11, 3, 2),
  (12, 2, 2),
  (13, 1, 2),
  (14, 99, 3),
  (15, 2, 99),
  (16, 99, 99);
