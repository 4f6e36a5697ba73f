insert into auth_user (id) values (1), (40);
insert into dispatch_patient (id, user_id) values (101, 1);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 101, 1),
  -- rejected: the course is unknown
  (2, 101, 5);

insert into dispatch_template (id, task_name, text_name, action_name) values
  (5, ' Design ', ' Text ', ' Send  it '),
  -- the first name that is not blank
  (6, '', ' Text ', 'Act'),
  (7, '  ', null, ' Act '),
  (8, null, '', '  '),
  (9, null, null, null);

alter table dispatch_task
  alter column template_id set default 9,
  alter column jaw set default 1,
  alter column checked set default false;

insert into dispatch_task
  (id, template_id, instruction_id, order_id, plan_id, file_id, actor_id, jaw, checked, done_at,
   text)
values
  -- plan, file and shop order stay raw, wherever they lead
  (1, 5, 1, 1, 81, 82, 40, 3, true, '2024-05-06 07:08:09.25+02', ' t ');

insert into dispatch_task (id, template_id, instruction_id, actor_id, jaw, text) values
  -- everything NULL that may be
  (2, 9, 1, null, 2, null),
  (3, 6, 1, null, 1, ''),
  (4, 7, 1, null, 0, null),
  (5, 8, 1, null, 4, null),
  (6, 99, 1, null, 1, null),
  (7, 9, 1, 99, 1, null),
  (8, 99, 1, 99, 1, null);

insert into dispatch_task (id, instruction_id, checked, done_at) values
  (10, 1, true, null),
  (11, 1, false, '2024-05-06 00:00:00+00'),
  (20, null, false, null),
  (21, 99, false, null),
  (22, 2, false, null);

-- of a shop order that has the number of an order
insert into dispatch_order (id) values (1);
insert into dispatch_task (id, instruction_id, order_id) values (23, null, 1);
