insert into auth_user (id) values (40);

insert into dispatch_role (id, name, abbrev, type, "order", user_id, group_id) values
  (1, ' Sectioning ', ' ST ', 1, 10, 40, 11),
  (2, 'Holder is missing', 'st-2', null, null, 99, 11);

insert into dispatch_role (id, name, abbrev, group_id) values
  (3, 'n', 'DT', 11),
  (4, 'n', 'DT-Upper', 11),
  (5, 'n', 'MT', 11),
  (6, 'n', 'MT-1', 11),
  (7, 'n', 'RT', 11),
  (8, 'n', 'RT-1', 11),
  (9, 'n', 'dtr', 11),
  (10, 'n', 'DTR-', 11),
  -- the name where there is no abbreviation
  (11, ' dt-Lower ', '', 11),
  (12, 'MT', '  ', 11),
  -- of no known family
  (13, 'ST', 'STX', 11),
  (14, 'DT', 'QC', 11),
  (15, 'Maria', '', 11),
  (16, 'n', 'X-ST-1', 11),
  (17, '', '', 11),
  (20, 'no group', 'ST', null),
  (21, 'doctors', 'ST', 2),
  (22, 'group 0', 'ST', 0);
