insert into public.person (id, name, mail) values
  (1, ' Ada ', 'ada@example.org'),
  (2, 'Bob', ''),
  (3, 'Cleo', null);
