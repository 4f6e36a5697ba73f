insert into dispatch_category (id, name) values (7, 'Design');

insert into dispatch_template
  (id, task_name, text_name, action_name, function, status, predefined, read_only, duration,
   category_id, course_id, extensions, alerts, separate)
values
  (1, ' Design ', ' Text ', ' Send  it ', 4, 5, true, true, 90, 7, 2, '.stl,.ply', ' late ', true);

-- the first name that is not blank
insert into dispatch_template (id, task_name, text_name, action_name, category_id) values
  (2, '', ' Text ', 'Act', null),
  (3, '  ', null, ' Act ', null),
  (4, null, '', '  ', null),
  (5, null, null, null, null),
  (6, 'Category is missing', null, null, 99);
