insert into dispatch_product (id, name, course_id) values
  (1, ' Main ', 1),
  (2, 'Refinement', 2),
  (3, 'Replacement', 3),
  (4, 'Any', 4),
  (7, 'Invoice', 7),
  (8, 'Merchandise', 8),
  -- a course of several products
  (9, '', 1),
  (10, 'Between', 5),
  (11, 'Below', 0),
  (12, 'Above', 9),
  (13, 'Between', 6);

insert into dispatch_product
  (id, name, description, free, deleted, customization, type, substitute)
values
  (20, 'Free', ' two  lines ', true, false, '{"arch": "both", "price": 10.50}', 3, true),
  (21, 'Deleted', '', false, true, ' ', 0, false),
  (22, 'Broken', null, false, false, '{''arch'': 1}', null, false);
