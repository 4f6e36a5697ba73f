insert into profiles (id, legacy_user_id, profile_type, first_name, last_name, patient_suffix) values
  ('00000000-0000-4000-8000-000000000001', 1, 'patient', 'Pat', 'Ient', 'AB12'),
  ('00000000-0000-4000-8000-000000000040', 40, 'doctor', 'Doc', 'Tor', null);

insert into doctors (id, legacy_user_id, profile_id, doctor_number, specialty) values
  ('00000000-0000-4000-8000-000000000140', 40, '00000000-0000-4000-8000-000000000040',
   'DOC-000040', 'Orthodontics');

insert into patients (id, legacy_patient_id, profile_id, patient_number) values
  ('00000000-0000-4000-8000-000000000101', 101, '00000000-0000-4000-8000-000000000001', 'P-1');

-- the patient alone is not unique: the oldest link is taken
insert into patients_doctors_offices (id, patient_id, doctor_id, created_at) values
  ('00000000-0000-4000-8000-000000000201', '00000000-0000-4000-8000-000000000101',
   '00000000-0000-4000-8000-000000000140', '2024-01-02'),
  ('00000000-0000-4000-8000-000000000202', '00000000-0000-4000-8000-000000000101',
   '00000000-0000-4000-8000-000000000140', '2024-01-01'),
  ('00000000-0000-4000-8000-000000000203', '00000000-0000-4000-8000-000000000101',
   '00000000-0000-4000-8000-000000000140', null);
