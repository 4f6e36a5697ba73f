insert into dispatch_offer (id, product_id) values (1, 99);

insert into dispatch_discount
  (id, offer_id, percent, reason, count, used, start, finish, total)
values
  (1, 1, 100, ' New  Year ', 3, 0, '2024-01-01', '2024-12-31', true),
  -- everything NULL that may be
  (2, 1, 13, '', null, null, null, null, false),
  (3, 99, 0, 'n', 0, 7, null, '2024-02-29', false);
