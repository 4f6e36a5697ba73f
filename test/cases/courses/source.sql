insert into dispatch_course (id, name, type, customization) values
  -- id and type are different numbers
  (3, ' Replacement ', 4, null),
  (4, 'Any', 3, ''),
  (5, '', null, '   '),
  (6, 'object', 0, ' {"b": 1.50, "a": [null, "x"]} '),
  (7, 'array', 0, '[]'),
  (8, 'text', 0, '"plain"'),
  (9, 'null', 0, 'null'),
  (10, 'broken', 0, ' {b: 1} '),
  (11, 'not for jsonb', 0, '{"a": "\u0000"}'),
  (12, 'beyond numeric', 0, '1e999999'),
  (13, 'python', 0, '{''a'': None}');
