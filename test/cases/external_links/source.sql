-- one number for everything: the type says what it means
insert into auth_user (id) values (7);
insert into dispatch_office (id) values (7);
insert into dispatch_product (id, name) values (7, 'Seven');
insert into dispatch_patient (id, user_id) values
  (7, 7),
  -- rejected: the account is gone
  (8, 99);
insert into dispatch_instruction (id, patient_id) values (7, 7);
insert into dispatch_payment
  (id, free, paid, canceled, tax_rate, tax_value, subtotal_price, total_price, paid_price,
   used_credit, additional_price, installments, netsuite)
values (7, false, true, false, 0, 0, 0, 0, 0, 0, 0, '', false);
insert into dispatch_task (id, template_id, instruction_id, jaw, checked) values (7, 1, 7, 1, true);

insert into dispatch_link (id, item_type_id, item_id, external_id, created_at, modified_at) values
  (1, 11, 7, ' A-1 ', '2024-05-06 07:08:09.25+02', '2024-05-07 02:00:00.125+02'),
  (2, 12, 7, '', null, null),
  (3, 13, 7, '', null, null),
  (4, 14, 7, '', null, null),
  (5, 15, 7, '', null, null),
  (6, 58, 7, '', null, null),
  -- a model that is not listed, no model, and a patient who is rejected; no more are allowed
  (10, 16, 7, '', null, null),
  (11, 99, 7, '', null, null),
  (12, 11, 8, '', null, null);
