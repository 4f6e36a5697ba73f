-- the oldest of equal names is taken; without a date it comes last
insert into teams (id, name, description, is_active, created_at) values
  ('00000000-0000-4000-8000-000000000001', 'Doctor', 'ours', false, '2024-01-02'),
  ('00000000-0000-4000-8000-000000000002', 'Doctor', 'older', null, '2024-01-01'),
  ('00000000-0000-4000-8000-000000000003', 'Doctor', 'undated', true, null),
  ('00000000-0000-4000-8000-000000000004', 'Lab', 'trimmed', true, '2024-01-01'),
  ('00000000-0000-4000-8000-000000000005', 'Kitchen', 'of no group', false, '2024-01-01');
