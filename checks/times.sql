-- Times are the same instants: number, first, last and every single one are those of the source.
-- A lost time zone shifts them all by hours. Pairs are (source expression, target expression).
--
-- severity  error
-- reads     source
-- edits     explain

select
  c.entity,
  d.column_name,
  count(*)                         as row_count,
  min(d.legacy_id)                 as first_legacy_id,
  min(d.source_value::timestamptz) as source_first,
  min(d.target_value::timestamptz) as target_first,
  max(d.source_value::timestamptz) as source_last,
  max(d.target_value::timestamptz) as target_last,
  min(d.target_value::timestamptz - d.source_value::timestamptz) as least_shift,
  max(d.target_value::timestamptz - d.source_value::timestamptz) as largest_shift
from (
  values
    ('profiles', array[['s.last_login', 't.last_login_at'], ['s.date_joined', 't.created_at']]),
    ('technicians', array[['s.date_joined', 't.created_at']]),
    ('patients', array[
      ['s.submitted_at', 't.enrolled_at'],
      ['s.updated_at', 't.updated_at'],
      ['s.birthdate', 't.date_of_birth']
    ]),
    ('patients_doctors_offices', array[['s.submitted_at', 't.created_at']]),
    ('orders', array[
      ['s.submitted_at', 't.submitted_at'],
      ['s.updated_at', 't.updated_at'],
      ['least(s.submitted_at, s.updated_at)', 't.created_at']
    ]),
    ('cases', array[
      ['least(s.submitted_at, s.updated_at)', 't.created_at'],
      ['s.updated_at', 't.updated_at']
    ]),
    ('files', array[['s.created_at', 't.uploaded_at']]),
    ('order_files', array[['s.created_at', 't.uploaded_at']]),
    ('case_files', array[['s.created_at', 't.created_at']]),
    ('message_attachments', array[['s.created_at', 't.created_at']]),
    ('tasks', array[['s.done_at', 't.completed_at']]),
    ('messages', array[['s.created_at', 't.created_at']]),
    ('discounts', array[['s.start::text', 't.valid_from'], ['s.finish::text', 't.valid_until']]),
    ('payments', array[['s.made_at', 't.processed_at'], ['s.made_at', 't.created_at']]),
    ('payment_operations', array[['s.made_at', 't.processed_at']]),
    ('projects', array[['s.created_at', 't.created_at']]),
    ('comments_discussion', array[['s.created_at', 't.created_at']]),
    ('treatment_discussions', array[['s.created_at', 't.created_at']]),
    ('comments_note', array[['s.created_at', 't.created_at']]),
    ('doctor_notes', array[['s.created_at', 't.created_at']]),
    ('case_messages', array[['s.created_at', 't.sent_at']]),
    ('team_communications', array[['s.created_at', 't.created_at']]),
    ('customer_feedback_comments', array[['s.created_at', 't.created_at']]),
    ('customer_feedback_records', array[['s.created_at', 't.created_at']]),
    ('system_messages', array[['s.created_at', 't.created_at']]),
    ('patient_events', array[
      ['s.created_at', 't.created_at'],
      ['s.completed_at', 't.completed_at'],
      ['s.date', 't.event_date']
    ]),
    ('external_links', array[['s.created_at', 't.created_at']]),
    ('message_read_receipts', array[['s.read_at', 't.read_at']]),
    ('user_actions', array[['s.date', 't.action_date']]),
    ('global_settings', array[
      ['coalesce(s.created_at, s.updated_at)', 't.created_at'],
      ['s.updated_at', 't.updated_at']
    ]),
    ('order_states', array[['s.changed_at', 't.changed_at']]),
    ('case_states', array[['s.changed_at', 't.changed_at']])
) as c (entity, pairs)
cross join lateral migration.differing_values(c.entity, c.pairs) as d
group by c.entity, d.column_name
order by c.entity, d.column_name;
