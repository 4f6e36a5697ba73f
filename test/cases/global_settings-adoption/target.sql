insert into global_settings (id, setting_key, setting_value, category, description) values
  ('00000000-0000-4000-8000-000000000001', 'legacy_global_1', '{"version": 41}', 'x', 'ours'),
  ('00000000-0000-4000-8000-000000000002', 'theme', '"dark"', 'legacy', 'of no source row');
