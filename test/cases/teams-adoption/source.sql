-- the groups of common.sql, and one whose name is padded
insert into auth_group (id, name) values
  (20, ' Lab '),
  (21, 'lab');
