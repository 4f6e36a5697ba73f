-- No row of a former migration is left that our rules reject, or that holds values without a source.
-- Such rows and values stay as they are: the merge writes only what a view supplies. Clearing them is
-- a decision of its own.
--
-- severity  warning
-- verdict   values or rows of a former migration have no source

select r.table_name, r.what, r.row_count
from migration.leftover_rejects(array[
  ['orders', 'legacy_instruction_id'],
  ['patients', 'legacy_patient_id'],
  ['cases', 'legacy_patient_id'],
  ['products', 'legacy_product_id'],
  ['doctors', 'legacy_user_id'],
  ['role_permissions', 'legacy_id'],
  ['tasks', 'legacy_task_id'],
  ['order_files', 'legacy_file_id'],
  ['message_attachments', 'legacy_file_id'],
  ['message_attachments_linked', 'legacy_attachment_id'],
  ['payment_operations', 'legacy_operation_id'],
  ['purchases', 'legacy_purchase_id'],
  ['payment_items', 'legacy_ware_id'],
  ['jaws', 'legacy_jaw_id'],
  ['treatment_plans', 'legacy_plan_id'],
  ['brackets', 'legacy_bracket_id'],
  ['treatment_discussions', 'legacy_comment_id'],
  ['doctor_notes', 'legacy_note_id'],
  ['case_messages', 'legacy_message_id'],
  ['team_communications', 'legacy_note_id'],
  ['patient_events', 'legacy_event_id'],
  ['external_links', 'legacy_link_id'],
  ['order_states', 'legacy_state_id'],
  ['case_states', 'legacy_state_id']
]) as r
union all
select v.table_name, v.what, v.row_count
from (
  values
    ('public.doctors', array[
      'specialty', 'specialties', 'languages_spoken', 'practice_type', 'bio', 'years_experience',
      'licensed_since', 'joined_practice_at', 'consultation_duration_minutes',
      'follow_up_duration_minutes', 'max_patient_load'
    ], 'true'),
    ('public.technicians', array['hire_date', 'specialty'], 'true'),
    ('public.orders', array['approved_at', 'shipped_at', 'deleted_at'], 'true'),
    ('public.offers', array['order_id', 'offer_amount', 'is_accepted', 'description'], 'true'),
    ('public.messages', array['title', 'subject'], 'true'),
    ('public.case_messages', array['subject', 'priority', 'requires_response'], 'true'),
    ('public.customer_feedback', array['severity'], 'true'),
    ('public.case_states', array[
      'current_state', 'previous_state', 'reason', 'notes', 'automated'
    ], 'true'),
    ('public.treatment_discussions', array['is_visible_to_patient'], 'true'),
    ('public.brackets', array[
      'material', 'manufacturer', 'base_shape', 'tooth_position', 'arch_type', 'model_number',
      'description'
    ], 'true'),
    ('public.profiles', array['phone', 'password_hash'], 'true'),
    ('public.profiles', array['patient_suffix'], $$t.profile_type <> 'patient'$$),
    ('public.templates', array['estimated_duration_minutes'], 'true')
) as c (target, columns, condition)
cross join lateral migration.leftover_values(c.target, c.columns, c.condition) as v
union all
select w.table_name, w.what, w.row_count
from (
  values
    ('public.shipments', 'true'),
    ('public.operations', 'true'),
    ('public.purchases', 'true'),
    ('public.patient_events', 't.legacy_event_id >= 1000000')
) as c (target, condition)
cross join lateral migration.leftover_rows(c.target, c.condition) as w;
