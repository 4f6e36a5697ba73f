insert into auth_user (id, username, first_name, last_name, email) values
  (1, 'ann', 'Ann', 'Smith', 'ann@example.com'),
  (2, 'bob', 'Bob', 'Jones', 'bob@example.com');
