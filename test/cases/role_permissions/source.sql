insert into dispatch_role (id, name) values (1, 'Designer'), (2, 'Sales');

insert into auth_permission (id, name, content_type_id, codename) values
  (31, 'Can add patient', 11, 'add_patient'),
  -- no text of one line is trimmed here; its content type is missing
  (32, ' Can fly ', 999, ' fly ');

insert into dispatch_role_permissions (id, role_id, permission_id) values
  (1, 1, 31),
  (2, 2, 31),
  (3, 1, 32),
  (4, 99, 31),
  (5, 1, 99),
  (6, 99, 99);
