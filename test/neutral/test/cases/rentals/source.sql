insert into "Customer" ("CustomerId", "FirstName", "LastName", "IsTest", "CreatedAt") values
  (7, 'Anna', 'Karenina', false, '2024-01-01'),
  (8, 'Try', 'Out', true, '2024-01-01');

insert into film (film_id, title, changed_at) values (1, 'Plain', '2024-01-02');

insert into rental (rental_id, film_id, customer_id, rented_at, returned_at) values
  (10, 1, 7, '2024-02-01 10:00:00+02', '2024-02-02 10:00:00+02'),
  -- nobody knows which film
  (11, null, 7, '2024-02-03 10:00:00+02', null),
  -- of a test account, of nobody
  (12, 1, 8, '2024-02-03 10:00:00+02', null),
  (13, 1, 99, '2024-02-03 10:00:00+02', null);
