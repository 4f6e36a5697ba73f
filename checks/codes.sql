-- Codes are distributed as the code maps say: each row has the value its code stands for.
-- Pairs are (source expression, target column); the maps are said here a second time, so that a
-- slip in a view is found.
--
-- severity  error
-- reads     source
-- edits     explain

select
  c.entity,
  d.column_name,
  d.source_value   as expected,
  d.target_value   as found,
  count(*)         as row_count,
  min(d.legacy_id) as first_legacy_id
from (
  values
    ('offices', array[['s.valid', 't.is_active'], ['s.emails', 't.email_notifications']]),
    -- the patient is another source row: what it says is read from the metadata
    ('profiles', array[
      ['s.is_active', 't.is_active'],
      [
        $$case t.metadata -> 'legacy' ->> 'sex' when '1' then 'male' when '2' then 'female'
          else 'unknown' end$$,
        't.gender::text'
      ],
      [
        $$case when t.legacy_patient_id is not null then 'patient'
          when t.metadata -> 'legacy' -> 'groups' @> '11' then 'technician'
          when t.metadata -> 'legacy' -> 'groups' @> '2' then 'doctor'
          when s.is_superuser or s.is_staff or t.metadata -> 'legacy' -> 'groups' @> '5'
            or t.metadata -> 'legacy' -> 'groups' @> '4' then 'master'
          when t.profile_type::text in ('doctor', 'client') then t.profile_type::text
          else 'doctor or client' end$$,
        't.profile_type::text'
      ]
    ]),
    ('courses', array[['s.type', 't.course_type']]),
    ('products', array[
      [
        $$case s.course_id when 1 then 'main' when 2 then 'refinement' when 3 then 'replacement'
          when 4 then 'any' when 7 then 'invoice' when 8 then 'merchandise' end$$,
        't.course_type::text'
      ],
      ['not s.deleted', 't.is_active']
    ]),
    ('doctors', array[
      [$$case when s.is_active then 'active' else 'inactive' end$$, 't.status::text']
    ]),
    ('technicians', array[
      [$$case when s.is_active then 'active' else 'inactive' end$$, 't.status::text']
    ]),
    ('technician_roles', array[
      [
        $$case substring(upper(coalesce(nullif(btrim(s.abbrev), ''), btrim(s.name)))
            from '^(ST|DT|MT|RT|DTR)(?:-|$)')
          when 'ST' then 'sectioning' when 'DT' then 'designing' when 'MT' then 'manufacturing'
          when 'RT' then 'remote' when 'DTR' then 'remote' end$$,
        't.role_type::text'
      ]
    ]),
    ('patients', array[
      [$$case s.sex when 1 then 'male' when 2 then 'female' else 'unknown' end$$, 't.sex::text'],
      [
        $$case when s.archived or s.status = 10 then 'archived' when s.status = 2 then 'on_hold'
          else 'active' end$$,
        't.status::text'
      ],
      ['s.archived', 't.archived'],
      ['s.suspended', 't.suspended']
    ]),
    ('orders', array[
      [
        $$case s.course_id when 1 then 'main' when 2 then 'refinement' when 3 then 'replacement'
          when 4 then 'any' when 7 then 'invoice' when 8 then 'merchandise' end$$,
        't.course_type::text'
      ],
      [
        $$case s.status when 0 then 'no_product' when 1 then 'submitted' when 2 then 'approved'
          when 3 then 'in_production' when 4 then 'shipped' when 5 then 'add_plan'
          when 6 then 'on_hold' when 7 then 'cancelled' end$$,
        't.status::text'
      ],
      ['s.deleted', 't.deleted']
    ]),
    ('cases', array[
      [
        $$case s.status when 1 then 'active' when 4 then 'active' when 2 then 'on_hold' end$$,
        't.status::text'
      ]
    ]),
    ('files', array[['btrim(s.ext)', 't.file_type'], ['s.size', 't.file_size_bytes']]),
    ('order_files', array[
      [
        $$case lower(btrim(s.ext)) when '.stl' then 'scan' when '.ply' then 'scan'
          when '.jpg' then 'image' when '.jpeg' then 'image' when '.png' then 'image'
          when '.gif' then 'image' when '.pdf' then 'document' when '.zip' then 'package'
          when '.rar' then 'package' when '.tar' then 'package' else 'other' end$$,
        't.category::text'
      ],
      ['s.type', 't.file_type'],
      ['s.status', 't.status']
    ]),
    ('tasks', array[
      [
        $$case when s.checked then 'completed' when s.done_at is not null then 'in_progress'
          else 'pending' end$$,
        't.status::text'
      ],
      ['s.checked', 't.checked'],
      ['s.jaw', 't.jaw_specification']
    ]),
    ('messages', array[
      [
        $$case s.type when 3 then 'user_communication' when 5 then 'clinical_note'
          when 6 then 'patient_communication' when 8 then 'status_update' else 'general' end$$,
        't.message_type::text'
      ]
    ]),
    ('discounts', array[
      [$$'percentage'$$, 't.discount_type::text'],
      ['s.total', 't.is_total'],
      ['true', 't.is_active']
    ]),
    ('payments', array[
      [
        $$case when s.canceled then 'cancelled' when s.paid or s.free then 'completed'
          else 'pending' end$$,
        't.status::text'
      ],
      [
        $$case when s.canceled then 'cancelled' when s.paid or s.free then 'completed'
          else 'pending' end$$,
        't.payment_status::text'
      ],
      ['s.free', 't.is_free']
    ]),
    ('payment_operations', array[
      [
        $$case s.type when 1 then 'payment' when 2 then 'refund' else 'unknown' end$$,
        't.operation_type::text'
      ],
      ['s.office_card', 't.is_office_card']
    ]),
    ('payment_items', array[['s.free', 't.is_free']]),
    ('jaws', array[
      ['s.labial', 't.labial'],
      [$$case s.reason when 1 then 'breakage' end$$, 't.replacement_reason::text']
    ]),
    ('projects', array[
      [$$case s.type when 3 then 'treatment_plan' else 'other' end$$, 't.project_type::text'],
      [$$case s.status when 2 then 'completed' else 'draft' end$$, 't.status::text'],
      ['s.public', 't.is_public']
    ]),
    ('treatment_plans', array[['s.original', 't.is_original'], ['s.number', 't.plan_number']]),
    ('brackets', array[
      [$$coalesce(nullif(btrim(s.type), ''), 'unknown')$$, 't.bracket_type::text']
    ]),
    ('comments_discussion', array[[$$'treatment_discussion'$$, 't.comment_type::text']]),
    ('comments_note', array[[$$'doctor_note'$$, 't.comment_type::text']]),
    ('case_messages', array[[$$'clinical_note'$$, 't.message_type::text']]),
    ('team_communications', array[
      [$$'status_update'$$, 't.communication_type::text'],
      [$$'team'$$, 't.visibility::text']
    ]),
    ('customer_feedback_comments', array[
      [$$'general_feedback'$$, 't.feedback_type::text'],
      [$$'doctor'$$, 't.source_type::text']
    ]),
    ('customer_feedback_records', array[
      [$$'general_feedback'$$, 't.feedback_type::text'],
      [$$'doctor'$$, 't.source_type::text']
    ]),
    ('system_messages', array[
      ['s.sent', 't.processed'],
      [$$'notification'$$, 't.message_type::text']
    ]),
    ('patient_events', array[
      [$$case when s.done then 'completed' else 'pending' end$$, 't.status::text'],
      ['s.done', 't.is_completed']
    ]),
    ('message_read_receipts', array[['s.type', 't.target_code']]),
    ('order_states', array[
      ['s.status', 't.status_code'],
      ['s."on"', 't.is_active'],
      [
        $$case s.status when 0 then 'no_product' when 1 then 'submitted' when 2 then 'approved'
          when 3 then 'in_production' when 4 then 'shipped' when 5 then 'add_plan'
          when 6 then 'on_hold' when 7 then 'cancelled' end$$,
        't.to_status::text'
      ]
    ]),
    ('case_states', array[['s.status', 't.status_code']])
) as c (entity, pairs)
cross join lateral migration.differing_values(c.entity, c.pairs) as d
group by c.entity, d.column_name, d.source_value, d.target_value
order by c.entity, d.column_name, d.source_value, d.target_value;
