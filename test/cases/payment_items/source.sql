insert into dispatch_product (id, name) values (5, 'Five');
insert into dispatch_payment
  (id, free, paid, canceled, tax_rate, tax_value, subtotal_price, total_price, paid_price,
   used_credit, additional_price, installments, netsuite)
values (7, false, true, false, 0, 0, 0, 0, 0, 0, 0, '', false);
insert into dispatch_purchase (id, product_id, quantity) values
  (6, 5, 1),
  -- rejected: the product is gone
  (8, 99, 1);

insert into dispatch_ware
  (id, payment_id, product_id, purchase_id, name, quantity, description, free, global_price,
   doctor_price, base_price, discount_percent, discount_value, discount_price, discount_reason,
   total_price)
values
  (1, 7, 5, 6, ' Upper  arch ', 2, ' d ', true, 100.00, 90.00, 80.50, 50, 40.25, 40.24, ' r ',
   80.49);

alter table dispatch_ware
  alter column name set default '',
  alter column quantity set default 0,
  alter column free set default false,
  alter column base_price set default 0,
  alter column total_price set default 0;

-- everything NULL that may be
insert into dispatch_ware (id, payment_id) values (2, 7);

insert into dispatch_ware (id, payment_id, product_id, purchase_id, total_price) values
  (3, 7, 99, null, -1.00),
  (4, 7, null, 99, 99999999.99),
  (5, 7, 5, 8, 0),
  (6, 7, 99, 99, 0),
  (10, 99, 5, 6, 1.00);
