-- a row of another origin: legacy_purchase_id holds the id of a bill
insert into products (id, name, course_type) values
  ('00000000-0000-4000-8000-000000000001', 'ours', 'main');
insert into purchases (id, product_id, quantity, unit_price, total_amount, legacy_purchase_id)
values
  ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 1, 5.00, 5.00,
   20);
