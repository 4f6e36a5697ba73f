-- beside the groups of common.sql
insert into auth_group (id, name) values
  (20, '  Lab  2 '),
  (21, ''),
  (22, 'lab  2');
