insert into dispatch_office
  (id, doctor_id, name, address, apt, city, state, zip, phone, sq_customer_id, country, tax_rate)
values
  (1, 40, 'Smile', '1 Main St', 'B 2', 'Austin', 'TX', '73301', '+1 512-555', 'SQ1',
   'United States', 10.2500),
  -- padded; letters and dashes in zip and phone
  (2, null, '  Dent  al ', ' 2 Side St ', ' 4 ', ' Leeds ', ' WY ', ' LS1-4AP ', ' 0113 ext. 9 ',
   ' SQ2 ', ' United Kingdom ', 0),
  -- empty strings stay
  (4, null, '', '', '', '', '', '', '', '', '', 0);

-- everything NULL that may be
insert into dispatch_office (id) values (3);

update dispatch_office set valid = false, emails = false where id = 2;

-- above 1 is a percentage, 1 and below a fraction; the spellings of one country
insert into dispatch_office (id, name, country, tax_rate) values
  (5, 'One', 'usa', 1),
  (6, 'Above one', 'U.S.', 1.0001),
  (7, 'Fraction', ' u.s.a. ', 0.0825),
  (8, 'Highest', 'US', 99.9999),
  (9, 'Long', 'united states of america', 8.2500),
  (10, 'Other', 'USA Minor Islands', 0);

-- name and address a second time: another row
insert into dispatch_office (id, name, address) values (11, 'Smile', '1 Main St');
