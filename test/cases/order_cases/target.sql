-- a case the source does not know has the number of another one
insert into profiles (id, profile_type, first_name, last_name) values
  ('00000000-0000-4000-8000-000000000001', 'client', 'Somebody', 'Else');
insert into patients (id, profile_id) values
  ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001');
insert into cases (case_number, patient_id) values
  ('CASE-104', '00000000-0000-4000-8000-000000000002');
