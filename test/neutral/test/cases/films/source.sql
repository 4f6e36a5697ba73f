insert into language values (1, 'English'), (2, 'Deutsch');

insert into film (film_id, title, description, released, language_id, original_language_id,
  sequel_of, rating, rental_rate, extras, withdrawn, changed_at)
values
  (1, 'Plain', 'What happens.', 1999, 1, 2, null, 'PG-13', 2.99, '{trailer}', false,
    '2024-01-02 03:04:05'),
  -- nothing but what is required; a sequel
  (2, 'Bare', null, null, null, null, 1, null, null, null, false, '2024-01-02'),
  (3, 'Withdrawn', null, null, 1, null, null, 'G', null, null, true, '2024-01-02'),
  -- a sequel of what may not be shown
  (4, '  Lone "sequel" ', '', 1895, 1, null, 3, 'NC-17', 0.00, '{}', false, '2024-01-02');

insert into rental (rental_id, film_id, customer_id, rented_at, returned_at) values
  (10, 1, null, '2024-02-01 10:00:00+02', null),
  (11, 1, null, '2024-02-03 10:00:00+02', null);
