-- Every migrated row carries the legacy id it is mapped to.
-- Entities that are not listed have no column for it: link tables, known by what they link.
--
-- severity  error
-- edits     explain

select
  d.entity_name,
  d.column_name,
  d.row_count,
  d.first_legacy_id
from (
  values
    ('offices', 'legacy_office_id'),
    ('profiles', 'legacy_user_id'),
    ('system_profile', 'legacy_user_id'),
    ('teams', 'legacy_group_id'),
    ('courses', 'legacy_id'),
    ('categories', 'legacy_category_id'),
    ('roles', 'legacy_id'),
    ('role_permissions', 'legacy_id'),
    ('products', 'legacy_product_id'),
    ('doctors', 'legacy_user_id'),
    ('patients', 'legacy_patient_id'),
    ('technicians', 'legacy_technician_id'),
    ('technician_roles', 'legacy_role_id'),
    ('templates', 'legacy_template_id'),
    ('template_products', 'legacy_id'),
    ('orders', 'legacy_instruction_id'),
    ('cases', 'legacy_patient_id'),
    ('files', 'legacy_file_id'),
    ('order_files', 'legacy_file_id'),
    ('tasks', 'legacy_task_id'),
    ('messages', 'legacy_record_id'),
    ('message_attachments', 'legacy_file_id'),
    ('message_attachments_linked', 'legacy_attachment_id'),
    ('offers', 'legacy_offer_id'),
    ('discounts', 'legacy_discount_id'),
    ('payments', 'legacy_payment_id'),
    ('payment_operations', 'legacy_operation_id'),
    ('purchases', 'legacy_purchase_id'),
    ('payment_items', 'legacy_ware_id'),
    ('jaws', 'legacy_jaw_id'),
    ('projects', 'legacy_project_id'),
    ('treatment_plans', 'legacy_plan_id'),
    ('brackets', 'legacy_bracket_id'),
    ('comments_discussion', 'legacy_id'),
    ('treatment_discussions', 'legacy_comment_id'),
    ('comments_note', 'legacy_id'),
    ('doctor_notes', 'legacy_note_id'),
    ('case_messages', 'legacy_message_id'),
    ('team_communications', 'legacy_note_id'),
    ('customer_feedback_comments', 'legacy_record_id'),
    ('customer_feedback_records', 'legacy_record_id'),
    ('system_messages', 'legacy_record_id'),
    ('patient_events', 'legacy_event_id'),
    ('external_links', 'legacy_link_id'),
    ('message_read_receipts', 'legacy_reading_id'),
    ('user_actions', 'legacy_action_id'),
    ('global_settings', 'legacy_setting_id'),
    ('order_states', 'legacy_state_id'),
    ('case_states', 'legacy_state_id')
) as c (entity, legacy_column)
cross join lateral migration.wrong_legacy_ids(c.entity, c.legacy_column) as d;
