insert into dispatch_office (id, name) values (3, 'Three');
insert into auth_user (id) values (1), (2), (3), (4), (5), (6), (40);

insert into dispatch_patient (id, user_id, doctor_id, office_id, submitted_at) values
  (101, 1, 40, 3, '2024-05-06 07:08:09+02'),
  (102, 2, 40, null, null),
  (103, 3, 40, 99, null),
  (104, 4, 99, 3, null),
  (105, 99, 40, 3, null),
  (106, 98, 99, 3, null),
  (107, 5, null, 3, null),
  -- left out before it is looked at for orphans
  (108, 97, null, 99, null);
