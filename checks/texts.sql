-- Texts are complete: each is the source's, character by character.
-- So are number, length and any checksum. Pairs are (source expression, target expression); JSON
-- is compared by `runner verify`.
--
-- severity  error
-- reads     source
-- edits     explain

select
  c.entity,
  d.column_name,
  count(*)                    as row_count,
  min(d.legacy_id)            as first_legacy_id,
  count(d.source_value)       as source_texts,
  count(d.target_value)       as target_texts,
  sum(length(d.source_value)) as source_length,
  sum(length(d.target_value)) as target_length
from (
  values
    ('offices', array[
      [$$coalesce(btrim(s.name), '')$$, 't.name'],
      ['btrim(s.address)', 't.address'],
      ['btrim(s.phone)', 't.phone']
    ]),
    ('profiles', array[
      ['btrim(s.first_name)', 't.first_name'],
      ['btrim(s.last_name)', 't.last_name'],
      ['s.username', 't.username']
    ]),
    ('teams', array[['btrim(s.name)', 't.name']]),
    ('courses', array[['btrim(s.name)', 't.name']]),
    ('categories', array[['btrim(s.name)', 't.name']]),
    ('roles', array[['btrim(s.name)', 't.name']]),
    ('products', array[['btrim(s.name)', 't.name']]),
    ('technicians', array[
      ['btrim(s.first_name)', 't.first_name'],
      ['btrim(s.last_name)', 't.last_name']
    ]),
    ('technician_roles', array[
      ['btrim(s.name)', 't.role_name'],
      ['btrim(s.abbrev)', 't.abbreviation']
    ]),
    ('templates', array[['btrim(s.action_name)', 't.action_name']]),
    ('patients', array[['btrim(s.suffix)', 't.suffix'], ['s.schemes', 't.schemes']]),
    ('orders', array[
      ['btrim(s.suffix)', 't.suffix'],
      ['s.notes', 't.notes'],
      ['s.complaint', 't.complaint']
    ]),
    ('files', array[
      [$$coalesce(nullif(btrim(s.name), ''), concat(s.uid, s.ext))$$, 't.filename'],
      ['s.uid', 't.file_uid']
    ]),
    ('tasks', array[['s.text', 't.description']]),
    ('messages', array[['s.text', 't.content']]),
    ('discounts', array[['btrim(s.reason)', 't.name']]),
    ('payment_operations', array[
      ['s.sq_order_id', 't.square_order_id'],
      ['s.sq_payment_id', 't.square_payment_id'],
      ['s.sq_refund_id', 't.square_refund_id'],
      ['s.card_brand', 't.card_brand']
    ]),
    ('purchases', array[['s.description', 't.description']]),
    ('payment_items', array[
      ['btrim(s.name)', 't.name'],
      ['s.description', 't.description'],
      ['s.discount_reason', 't.discount_reason']
    ]),
    ('jaws', array[['s.bond_teeth', 't.bond_teeth'], ['s.extract_teeth', 't.extract_teeth']]),
    ('projects', array[['btrim(s.name)', 't.name'], ['s.uid', 't.file_uid']]),
    ('treatment_plans', array[
      ['left(btrim(s.name), 100)', 't.plan_name'],
      ['s.notes', 't.plan_notes']
    ]),
    ('brackets', array[['btrim(s.name)', 't.name']]),
    ('comments_discussion', array[[$$coalesce(s.text, '')$$, 't.content']]),
    ('comments_note', array[[$$coalesce(s.text, '')$$, 't.content']]),
    ('doctor_notes', array[['s.text', 't.text']]),
    ('case_messages', array[[$$coalesce(s.text, '')$$, 't.content']]),
    ('team_communications', array[[$$coalesce(s.text, '')$$, 't.body']]),
    ('customer_feedback_comments', array[['s.text', 't.description']]),
    ('customer_feedback_records', array[['s.text', 't.description']]),
    ('system_messages', array[['s.template_name', 't.message_code']]),
    ('patient_events', array[['s.text', 't.description']]),
    ('external_links', array[['s.external_id', 't.external_id']]),
    ('user_actions', array[['s.action', 't.action'], ['s.data', 't.action_data']])
) as c (entity, pairs)
cross join lateral migration.differing_values(c.entity, c.pairs) as d
group by c.entity, d.column_name
order by c.entity, d.column_name;
