insert into categories (id, legacy_category_id, name, display_order) values
  ('00000000-0000-4000-8000-000000000002', 2, 'Old name', 7),
  ('00000000-0000-4000-8000-000000000003', 3, 'Was there', 8),
  -- of no source row
  ('00000000-0000-4000-8000-000000000004', null, 'New', 9);
