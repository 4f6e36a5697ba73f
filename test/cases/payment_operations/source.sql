insert into dispatch_payment
  (id, free, paid, canceled, tax_rate, tax_value, subtotal_price, total_price, paid_price,
   used_credit, additional_price, installments, netsuite)
values (7, false, true, false, 0, 0, 0, 0, 0, 0, 0, '', false);

insert into dispatch_operation
  (id, payment_id, type, made_at, price, sq_order_id, sq_payment_id, sq_refund_id, card_brand,
   card_bin, card_last, office_card, attempts)
values
  (1, 7, 1, '2024-05-06 07:08:09.25+02', 1147.85, ' O ', 'P', 'R', 'VISA', '411111', '0001', true,
   2);

insert into dispatch_operation (id, payment_id, type, made_at, price) values
  -- refunds have the sign they have
  (2, 7, 2, '2024-05-06 00:00:00+00', 10.00),
  (3, 7, 2, '2024-05-06 00:00:00+00', -10.00),
  -- without a type, and of no known one
  (4, 7, null, '2024-05-06 00:00:00+00', 0.00),
  (5, 7, 0, '2024-05-06 00:00:00+00', 0.01),
  (6, 7, 3, '2024-05-06 00:00:00+00', 99999999.99),
  (10, 99, 1, '2024-05-06 00:00:00+00', 1.00);
