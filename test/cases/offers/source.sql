insert into auth_user (id) values (40), (41);
insert into auth_user_groups (user_id, group_id) values (40, 2);
insert into dispatch_product (id, name, deleted, course_id) values
  (5, 'Five', false, 1),
  (6, 'Deleted', true, 1),
  -- rejected: the course is unknown
  (7, 'Seven', false, 5);

insert into dispatch_offer (id, product_id, doctor_id, price_both, price_upper, price_lower) values
  (1, 5, 40, 1995.00, 0.00, 10.50),
  -- for everybody
  (2, 6, null, null, null, null),
  -- of an unknown doctor, of a user who is no doctor
  (3, 5, 99, 1.00, null, null),
  (4, 5, 41, null, 1.00, null),
  (5, 99, 40, null, null, 1.00),
  (6, 7, 40, null, null, null),
  (7, 99, 99, null, null, null),
  (8, 99, null, null, null, null);
