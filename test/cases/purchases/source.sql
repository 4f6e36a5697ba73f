insert into dispatch_product (id, name, course_id) values
  (5, 'Five', 1),
  -- rejected: the course is unknown
  (6, 'Six', 5);
-- a shop order that has the number of an order
insert into auth_user (id) values (1);
insert into dispatch_patient (id, user_id) values (101, 1);
insert into dispatch_instruction (id, patient_id) values (1, 101);
insert into dispatch_order (id) values (1);

insert into dispatch_purchase (id, order_id, product_id, quantity, price, used, description) values
  (1, 1, 5, 3, 10.50, 2, ' d '),
  -- everything NULL that may be
  (2, null, 5, 2, null, null, null),
  (3, 99, 5, 0, 10.50, 0, ''),
  (4, null, 5, -1, 0.01, null, null),
  (10, 1, 99, 1, 1.00, null, null),
  (11, 1, 6, 1, 1.00, null, null),
  -- its number is taken, see target.sql
  (20, null, 5, 1, 1.00, null, null);
