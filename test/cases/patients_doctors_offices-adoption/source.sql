insert into dispatch_office (id, name) values (3, 'Three');
insert into auth_user (id) values (1), (2), (40), (41);

insert into dispatch_patient (id, user_id, doctor_id, office_id, submitted_at) values
  (101, 1, 40, 3, '2024-05-06 07:08:09+00'),
  (102, 2, 41, null, null);
