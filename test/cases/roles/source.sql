insert into dispatch_role (id, name, abbrev, type, "order", user_id, group_id) values
  (1, ' Designer ', ' DT-1 ', 2, 10, 40, 11),
  (2, 'Maria', '', null, null, null, null),
  (3, '', 'X', 0, 0, 0, 0);
