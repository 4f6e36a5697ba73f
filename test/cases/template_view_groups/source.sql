insert into dispatch_template (id, task_name) values (1, 'One'), (2, 'Two');
-- two groups by the key, one by the trimmed name
insert into auth_group (id, name) values (20, ' Lab '), (21, 'Lab');

insert into dispatch_template_view_groups (id, template_id, group_id) values
  (10, 1, 2),
  (11, 2, 2),
  (12, 1, 20),
  (13, 1, 21),
  (14, 2, 21),
  (15, 99, 2),
  (16, 1, 99),
  (17, 99, 99);
