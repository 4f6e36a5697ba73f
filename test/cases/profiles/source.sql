insert into auth_user (id, username, is_superuser, is_staff) values
  (1, 'patient before all', true, true),
  (2, 'technician before doctor', true, false),
  (3, 'doctor by group before master', true, true),
  (4, 'superuser before doctor by patients', true, false),
  (5, 'staff', false, true),
  (6, 'member of Master', false, false),
  (7, 'member of Administrator before doctor by settings', false, false),
  (8, 'doctor by office', false, false),
  (9, 'doctor by settings', false, false),
  (10, 'doctor by patients', false, false),
  (11, 'member of Patient without a patient', false, false),
  (12, 'nothing', false, false);

insert into auth_user_groups (user_id, group_id) values
  (1, 11), (1, 2), (1, 5),
  (2, 11), (2, 2),
  (3, 5), (3, 2),
  (6, 5),
  (7, 4),
  (11, 1);

insert into dispatch_office_doctors (office_id, user_id) values (1, 8);
insert into dispatch_doctorsetting (user_id) values (7), (9);

insert into auth_user (id, username, first_name, last_name, is_active, last_login, date_joined)
values
  (13, 'padded', '  Ann ', ' von  der  Heide ', false, '2024-05-06 07:08:09.5+02',
   '2011-12-31 23:00:00-05'),
  (14, ' Odd ', 'null', '', true, null, '2020-01-01 00:00:00+00');

insert into auth_user (id, username, email) values
  (20, 'tidied', ' Ann.Smith@Example.COM '),
  (21, 'apostrophe', 'O''Neil@example.com'),
  (22, 'no top level', ' ann@example '),
  (23, 'none', ''),
  (24, 'blank', '   '),
  (25, 'blank inside', 'ann smith@example.com'),
  (26, 'shared', 'ann.smith@example.com'),
  (27, 'short top level', 'ann@example.c'),
  (28, 'underscore in domain', 'ann@ex_ample.com'),
  (29, 'all characters', 'a+b%c_d-e.f9@sub-1.example.co'),
  (30, 'not ascii', 'jürgen@example.com'),
  (31, 'line end', E'ann@example.com\n'),
  (32, 'two', 'ann@example.com, bob@example.com');

insert into auth_user (id, username) values
  (40, 'female, suspended'), (41, 'sex 0'), (42, 'sex unknown'), (43, 'sex 3'), (44, 'two rows'),
  (45, 'suffix too long'), (46, 'settings');

-- one row per user is assumed: should it not hold, the lowest id counts
alter table dispatch_patient drop constraint dispatch_patient_user_id_key;
alter table dispatch_usersetting drop constraint dispatch_usersetting_user_id_key;
-- so is the length of the suffix

insert into dispatch_patient
  (id, user_id, doctor_id, birthdate, sex, archived, suspended, suffix)
values
  (101, 1, 4, '1990-02-03', 1, true, false, ' AB12 '),
  (140, 40, 10, null, 2, false, true, ''),
  (141, 41, null, null, 0, false, false, 'A'),
  (142, 42, null, null, null, false, false, 'B'),
  (143, 43, null, null, 3, false, false, 'ABCDEFGHIJ'),
  (145, 44, null, '1970-01-01', 2, true, true, 'LATE'),
  (144, 44, null, '1980-01-01', 1, false, false, 'LOW'),
  (146, 45, null, null, 1, false, false, 'ABCDEFGHIJK'),
  -- the patient's account is gone
  (147, 999, 998, null, 1, false, false, 'GONE');

insert into dispatch_usersetting (id, user_id, emails, require_2fa) values
  (3, 44, false, true),
  (2, 44, true, null),
  (4, 46, false, true);
