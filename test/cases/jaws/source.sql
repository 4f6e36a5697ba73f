insert into auth_user (id) values (1);
insert into dispatch_patient (id, user_id) values (101, 1);
insert into dispatch_product (id, name) values (5, 'Five');

insert into dispatch_instruction (id, patient_id, course_id, upper_jaw_id, lower_jaw_id) values
  (1, 101, 1, 71, 72),
  -- one jaw for both arches
  (2, 101, 1, 73, 73),
  -- jaws two orders refer to; the first order counts, whatever the arch
  (4, 101, 1, 75, 74),
  (3, 101, 1, 74, 75),
  -- rejected: the course is unknown
  (5, 101, 5, 76, 77),
  (6, 101, 1, 77, null);

insert into dispatch_jaw (id, bond_teeth, extract_teeth, reason, product_id, labial) values
  (71, '1111111111111111', '0000000000000001', 1, 5, true),
  -- disputed reasons
  (72, '', ' 0', 2, null, false),
  (73, '0', '0', 3, null, false),
  (74, '0', '0', null, 99, false),
  (75, '0', '0', 0, null, false),
  (76, '0', '0', null, null, false),
  (77, '0', '0', null, 99, false),
  -- no order refers to it
  (78, '0', '0', 1, 5, false);
