insert into dispatch_template (id, task_name) values (1, 'First'), (2, 'Second'), (3, 'Third');

-- from waits for to
insert into dispatch_template_predecessors (id, from_template_id, to_template_id) values
  (10, 2, 1),
  (11, 3, 2),
  (12, 3, 1),
  (13, 1, 1),
  (14, 99, 1),
  (15, 1, 99),
  (16, 99, 98);
