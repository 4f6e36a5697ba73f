-- What every case finds in the source: the user groups and content types the mapping relies on.
-- Known by number: groups 1, 2, 4, 5, 11 and the content type 11 (patient). All others are found
-- by name, so their numbers here are arbitrary, but for 58, which stands for user accounts.

insert into auth_group (id, name) values
  (1, 'Patient'),
  (2, 'Doctor'),
  (3, 'Sales'),
  (4, 'Administrator'),
  (5, 'Master'),
  (11, 'Technician');

insert into django_content_type (id, app_label, model) values
  (11, 'dispatch', 'patient'),
  (12, 'dispatch', 'instruction'),
  (13, 'dispatch', 'office'),
  (14, 'dispatch', 'payment'),
  (15, 'dispatch', 'product'),
  (16, 'dispatch', 'task'),
  (17, 'dispatch', 'project'),
  (58, 'auth', 'user');
