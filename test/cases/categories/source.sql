insert into dispatch_category (id, name, parent_id) values
  -- the parent comes later
  (1, ' Child ', 5),
  (2, 'Grandchild', 1),
  (3, 'Parent is missing', 99),
  (4, '', null),
  (5, 'Root', null),
  (6, 'Its own parent', 6),
  (7, 'Ring', 8),
  (8, 'Ring', 7);
