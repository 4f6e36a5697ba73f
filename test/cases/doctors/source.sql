insert into dispatch_office (id, name, doctor_id) values
  (2, 'Two', null),
  (3, 'Three', 15);

insert into auth_user (id, username, is_active) values
  (1, 'by group', true),
  (2, 'by office', true),
  (3, 'by patients', true),
  (4, 'by settings', true),
  (5, 'by all four', true),
  (6, 'office is missing', true),
  (7, 'several offices, the lowest is missing', true),
  (8, 'inactive', false),
  (1234567, 'seven digits', true),
  (10, 'patient too', true),
  (11, 'two settings', true),
  (12, 'the profile is rejected', true),
  (13, 'patient only', true),
  (14, 'in other groups', true),
  (15, 'named by an office', true),
  (16, 'named by offer, bill, shop order and note', true);

insert into auth_user_groups (user_id, group_id) values
  (1, 2), (5, 2), (8, 2), (1234567, 2), (12, 2),
  (14, 1), (14, 4), (14, 5), (14, 11);

insert into dispatch_office_doctors (office_id, user_id) values
  (2, 2),
  (3, 5),
  (99, 6),
  (3, 7), (2, 7), (1, 7),
  -- nobody
  (2, 999);

-- a suffix longer than assumed
insert into dispatch_patient (id, user_id, doctor_id, suffix) values
  (101, 10, 3, ''),
  (102, 998, 3, ''),
  (103, 997, 5, ''),
  (104, 996, 10, ''),
  (105, 12, null, 'ABCDEFGHIJK'),
  (106, 13, null, ''),
  -- nobody
  (107, 995, 999, '');

insert into dispatch_offer (product_id, doctor_id) values (1, 16);
insert into dispatch_order (doctor_id) values (16);
insert into dispatch_note (created_at, doctor_id) values ('2024-01-01', 16);
insert into dispatch_payment
  (doctor_id, free, paid, canceled, tax_rate, tax_value, subtotal_price, total_price, paid_price,
   used_credit, additional_price, installments, netsuite)
values (16, true, true, false, 0, 0, 0, 0, 0, 0, 0, '', false);

-- one row per user is assumed: should it not hold, the lowest id counts
alter table dispatch_doctorsetting drop constraint dispatch_doctorsetting_user_id_key;

insert into dispatch_doctorsetting (id, user_id) values (41, 4);
insert into dispatch_doctorsetting
  (id, user_id, clinical_preferences, sq_customer_id, promised_payment, credit, tier_finish,
   tier_type, installment_payments, baa_agreed_at, eula_agreed_at, company_account)
values
  (51, 5, ' {"bond": 1} ', 'SQ5', false, 12.50, '2025-01-31', 'gold', 3,
   '2024-01-02 03:04:05+02', '2024-01-02 03:04:05.25+00', true),
  (62, 11, 'later', null, null, null, null, null, null, null, null, null),
  (61, 11, 'lowest', null, null, null, null, null, null, null, null, null);

insert into dispatch_doctorsetting_masters (doctorsetting_id, user_id) values
  (51, 9), (51, 3), (62, 4);
insert into dispatch_doctorsetting_sales (doctorsetting_id, user_id) values
  (51, 999), (61, 2), (61, 1);
