insert into dispatch_template (id, task_name) values (1, 'One'), (2, 'Two');
insert into dispatch_role (id, name) values (5, 'Designer'), (6, 'Sales');

insert into dispatch_template_view_roles (id, template_id, role_id) values
  (10, 1, 5),
  (11, 1, 6),
  (12, 2, 5),
  (13, 99, 5),
  (14, 1, 99),
  (15, 99, 99);
