insert into dispatch_category (id, name, parent_id) values
  (1, 'New child of a row that was there', 2),
  (2, 'Root', null),
  (3, 'Was there, child of a new row', 4),
  (4, 'New', null);
