insert into dispatch_office (id, name) values (3, 'Three');
insert into auth_user (id) values (1), (40), (41);
insert into auth_user_groups (user_id, group_id) values (40, 2);
insert into dispatch_patient (id, user_id) values
  (101, 1),
  -- rejected: the account is gone
  (102, 99);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 101, 1),
  -- rejected, each for another reason
  (2, 101, 5),
  (3, 102, 1),
  (4, 999, 1);

alter table dispatch_payment
  alter column free set default false,
  alter column paid set default false,
  alter column canceled set default false,
  alter column tax_rate set default 0,
  alter column tax_value set default 0,
  alter column subtotal_price set default 0,
  alter column total_price set default 0,
  alter column paid_price set default 0,
  alter column used_credit set default 0,
  alter column additional_price set default 0,
  alter column installments set default '',
  alter column netsuite set default false;

insert into dispatch_payment
  (id, instruction_id, order_id, doctor_id, office_id, made_at, free, paid, canceled, tax_rate,
   tax_value, subtotal_price, total_price, paid_price, used_credit, additional_price,
   custom_price, installments, netsuite)
values
  (1, 1, 8, 40, 3, '2024-05-06 07:08:09.25+02', false, true, false, 10.2500,
   102.50, 1000.00, 1102.50, 1100.01, 2.49, 3.30,
   997.00, ' [{"due": "2024-06-01", "price": 10.50}] ', true);

-- everything NULL that may be: a bill of zero without an order
insert into dispatch_payment (id) values (2);

-- every state
insert into dispatch_payment (id, free, paid, canceled) values
  (10, true, false, false),
  (11, true, true, false),
  (12, false, false, true),
  (13, true, true, true);

-- a percentage is above 1
insert into dispatch_payment (id, tax_rate, tax_value, total_price, installments) values
  (20, 1.0000, -0.01, -5.00, '[]'),
  (21, 1.0001, 0, 0, '  '),
  (22, 0.0825, 0, 0, '{''due'': 1}'),
  (23, 99.9999, 0, 99999999.99, 'null');

-- a shop order that has the number of an order
insert into dispatch_order (id) values (1);

insert into dispatch_payment (id, instruction_id, order_id, doctor_id, office_id) values
  (30, null, 1, null, null),
  (31, 99, null, null, null),
  -- the patient of an order that is rejected
  (32, 2, null, null, null),
  (33, 3, null, null, null),
  (34, 4, null, null, null),
  -- a user who is no doctor
  (35, null, null, 41, null),
  (36, null, null, null, 99),
  (37, 99, null, 99, 99),
  (38, 3, null, 99, 99);
