insert into dispatch_template (id, task_name) values (1, 'One'), (2, 'Two');
-- the course of product 9 is unknown: it is rejected
insert into dispatch_product (id, name, course_id) values (5, 'Five', 1), (6, 'Six', 2), (9, '', 5);

-- three rejects are allowed here
insert into dispatch_template_products (id, template_id, product_id) values
  (10, 1, 5),
  (11, 1, 6),
  (12, 2, 5),
  (13, 99, 5),
  (14, 1, 9),
  (15, 99, 99);
