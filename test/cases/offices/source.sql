insert into dispatch_office (
  id, doctor_id, name, address, apt, city, state, zip, country, phone,
  tax_rate, valid, sq_customer_id, emails
) values
  (1, 40, 'Smile', '1 Main St', 'B 2', 'Austin', 'TX', '73301', 'United States', '+1 512-555', 10.2500, true, 'SQ1', true),
  -- padded, not valid, letters in zip and phone
  (2, null, '  Dent  al ', ' 2 Side St ', ' 4 ', ' Leeds ', ' WY ', ' LS1-4AP ', ' United Kingdom ', ' 0113 ext. 9 ', 0, false, ' SQ2 ', false),
  -- everything NULL that may be
  (3, null, null, null, null, null, null, null, null, null, 0, true, null, true),
  -- empty strings stay
  (4, null, '', '', '', '', '', '', '', '', 0, true, '', true),
  -- 1 and below is a fraction, above 1 a percentage
  (5, null, 'One', null, null, null, null, null, 'usa', null, 1, true, null, true),
  (6, null, 'Above one', null, null, null, null, null, 'U.S.', null, 1.0001, true, null, true),
  (7, null, 'Fraction', null, null, null, null, null, ' u.s.a. ', null, 0.0825, true, null, true),
  (8, null, 'Highest', null, null, null, null, null, 'US', null, 99.9999, true, null, true),
  (9, null, 'Long', null, null, null, null, null, 'united states of america', null, 8.2500, true, null, true),
  -- a country that only begins like one
  (10, null, 'Other', null, null, null, null, null, 'USA Minor Islands', null, 0, true, null, true),
  -- the same name and address twice: two rows
  (11, null, 'Smile', '1 Main St', null, null, null, null, null, null, 0, true, null, true);
