insert into auth_user (id) values (40);

insert into dispatch_project
  (id, uid, created_at, name, size, public, type, status, creator_id)
values
  (1, '00000000-0000-4000-8000-000000000001', '2024-05-06 07:08:09.25+02', ' 12 ', 12345678901,
   true, 3, 2, 40);

alter table dispatch_project
  alter column uid set default '00000000-0000-4000-8000-000000000002',
  alter column created_at set default '2024-05-06 00:00:00+00',
  alter column name set default '',
  alter column size set default 0,
  alter column public set default false,
  alter column type set default 3,
  alter column status set default 0,
  drop constraint dispatch_project_uid_key;

-- nobody is named: the system account
insert into dispatch_project (id, name, creator_id) values
  (2, '', null),
  (3, '  ', 99),
  (4, 'Scan  A', 40);

-- codes without a meaning
insert into dispatch_project (id, type, status) values
  (10, 0, 1),
  (11, 10, 3),
  (12, 11, 0),
  (13, 1, 0);
