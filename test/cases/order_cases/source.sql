insert into auth_user (id) values (1), (2), (3);

insert into dispatch_patient (id, user_id) values
  (101, 1),
  (102, 2),
  -- rejected: the account is gone
  (103, 99),
  -- its case is rejected: the number is taken in the target
  (104, 3);

insert into dispatch_instruction (id, patient_id, course_id, status, deleted) values
  (1, 101, 1, 1, false),
  -- another one of the same patient, and deleted
  (2, 101, 2, 4, true),
  (3, 102, 1, 1, false),
  -- the order itself is rejected
  (4, 999, 1, 1, false),
  (5, 103, 1, 1, false),
  (6, 101, 5, 1, false),
  (7, 101, 1, 8, false),
  (8, 104, 1, 1, false),
  -- both: the first reason counts
  (9, 104, 5, 1, false);
