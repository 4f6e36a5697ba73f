insert into auth_user (id) values (1), (40);
insert into dispatch_patient (id, user_id) values
  (101, 1),
  -- rejected: the account is gone
  (102, 99);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 101, 1),
  (2, 101, 1),
  -- rejected, but the case of its patient is there
  (3, 101, 5),
  (4, 102, 1);

insert into dispatch_state (id, instruction_id, status, "on", changed_at, actor_id) values
  (1, 1, 11, true, '2024-05-06 07:08:09.25+02', 40),
  -- without actor, or the actor is gone
  (2, 2, 12, false, '2024-05-07 00:00:00+00', null),
  (3, 1, 4, true, '2024-05-08 00:00:00+00', 98),
  (4, 3, 11, true, '2024-05-09 00:00:00+00', null),
  -- no more are allowed, for these and number 4 are rejected of the orders
  (10, 99, 11, true, '2024-05-06 00:00:00+00', 40),
  (11, 4, 11, true, '2024-05-06 00:00:00+00', 40);
