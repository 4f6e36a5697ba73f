insert into profiles
  (id, legacy_user_id, profile_type, first_name, last_name, email, phone, password_hash, is_verified,
   updated_at)
values
  ('00000000-0000-4000-8000-000000000001', 1, 'doctor', 'Anna', 'Smyth', 'old@example.com',
   '555-1', 'kept', true, '2024-01-01'),
  -- an address identifies nobody
  ('00000000-0000-4000-8000-000000000002', null, 'client', 'Bob', 'Jones', 'bob@example.com',
   '555-2', null, false, '2024-01-01');
