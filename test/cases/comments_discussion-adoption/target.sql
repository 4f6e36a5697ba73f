insert into comments
  (id, comment_type, content, created_at, updated_at, legacy_table, legacy_id)
values
  ('00000000-0000-4000-8000-000000000001', 'task_note', 'old', '2024-01-01', '2024-01-02',
   'dispatch_comment', 1),
  -- the number of a comment, but of another table or of none
  ('00000000-0000-4000-8000-000000000002', 'doctor_note', 'old', '2024-01-01', '2024-01-02',
   'dispatch_note', 1),
  ('00000000-0000-4000-8000-000000000003', 'doctor_note', 'old', '2023-01-01', '2023-01-02', null,
   2);
