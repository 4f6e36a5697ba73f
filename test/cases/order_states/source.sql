insert into auth_user (id) values (1), (40);
insert into dispatch_patient (id, user_id) values (101, 1);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 101, 1),
  (2, 101, 1),
  -- rejected: the course is unknown
  (3, 101, 5);

insert into dispatch_state (id, instruction_id, status, "on", changed_at, actor_id) values
  (1, 1, 11, true, '2024-05-06 07:08:09.25+02', 40),
  -- without actor, or the actor is gone
  (2, 1, 12, true, '2024-05-07 00:00:00+00', null),
  (3, 1, 11, false, '2024-05-08 00:00:00+00', 99),
  -- all codes that are known, later rows having lower numbers
  (27, 2, 0, true, '2024-05-01 00:00:00+00', null),
  (26, 2, 1, true, '2024-05-02 00:00:00+00', null),
  (25, 2, 2, true, '2024-05-03 00:00:00+00', null),
  (24, 2, 3, true, '2024-05-04 00:00:00+00', null),
  (23, 2, 4, true, '2024-05-05 00:00:00+00', null),
  (22, 2, 5, true, '2024-05-06 00:00:00+00', null),
  (21, 2, 6, false, '2024-05-07 00:00:00+00', null),
  -- at one time: the number decides
  (30, 2, 7, true, '2024-05-08 00:00:00+00', null),
  (31, 2, 8, true, '2024-05-08 00:00:00+00', null),
  (32, 2, -1, true, '2024-05-09 00:00:00+00', null),
  -- no more are allowed
  (40, 99, 11, true, '2024-05-06 00:00:00+00', 40),
  (41, 3, 11, true, '2024-05-06 00:00:00+00', 99);
