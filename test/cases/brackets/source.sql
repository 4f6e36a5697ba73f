insert into dispatch_project (id, uid, created_at, name, size, public, type, status) values
  (11, '00000000-0000-4000-8000-000000000011', '2024-01-01 00:00:00+00', '', 0, false, 3, 0);

insert into dispatch_bracket (id, name, project_id, type) values
  (1, ' Mini  22 upper ', 11, ' metal '),
  (2, 'n', null, null),
  (3, 'n', 11, ''),
  (4, 'n', null, '  '),
  (5, 'n', 99, 'standard'),
  (6, '', 11, 'metal'),
  (7, '   ', null, null);
