-- References lead to the row the source refers to.
-- Each is (legacy id, reference, id map); a reference that leads nowhere in the source is NULL.
-- What takes two steps (the case of a file) is in references_agree.
--
-- severity  error
-- reads     source
-- edits     explain

select
  c.entity,
  d.column_name,
  d.id_map,
  d.row_count,
  d.first_legacy_id
from (
  values
    ('categories', array[['s.parent_id', 't.parent_id', 'categories']]),
    ('role_permissions', array[['s.role_id', 't.role_id', 'roles']]),
    ('doctors', array[['s.id', 't.profile_id', 'profiles']]),
    ('doctor_offices', array[
      ['s.user_id', 't.doctor_id', 'profiles'],
      ['s.office_id', 't.office_id', 'offices']
    ]),
    ('patients', array[
      ['s.user_id', 't.profile_id', 'profiles'],
      ['s.doctor_id', 't.primary_doctor_id', 'doctors'],
      ['s.office_id', 't.assigned_office_id', 'offices']
    ]),
    ('patients_doctors_offices', array[
      ['s.id', 't.patient_id', 'patients'],
      ['s.doctor_id', 't.doctor_id', 'doctors'],
      ['s.office_id', 't.office_id', 'offices']
    ]),
    ('technicians', array[['s.id', 't.profile_id', 'profiles']]),
    ('technician_roles', array[['s.user_id', 't.technician_id', 'profiles']]),
    ('templates', array[['s.category_id', 't.category_id', 'categories']]),
    ('template_products', array[
      ['s.template_id', 't.template_id', 'templates'],
      ['s.product_id', 't.product_id', 'products']
    ]),
    ('template_view_groups', array[['s.template_id', 't.template_id', 'templates']]),
    ('template_view_roles', array[
      ['s.template_id', 't.template_id', 'templates'],
      ['s.role_id', 't.role_id', 'roles']
    ]),
    ('template_edit_roles', array[
      ['s.template_id', 't.template_id', 'templates'],
      ['s.role_id', 't.role_id', 'roles']
    ]),
    ('template_predecessors', array[
      ['s.from_template_id', 't.template_id', 'templates'],
      ['s.to_template_id', 't.predecessor_id', 'templates']
    ]),
    -- doctor and office are those of the patient: their ids are read from the metadata
    ('orders', array[
      ['s.patient_id', 't.patient_id', 'patients'],
      [$$(t.metadata -> 'legacy' ->> 'doctor_id')$$, 't.doctor_id', 'doctors'],
      [$$(t.metadata -> 'legacy' ->> 'office_id')$$, 't.office_id', 'offices']
    ]),
    ('cases', array[
      ['s.id', 't.patient_id', 'patients'],
      ['s.doctor_id', 't.primary_doctor_id', 'doctors'],
      ['s.office_id', 't.office_id', 'offices']
    ]),
    ('order_cases', array[
      ['s.id', 't.order_id', 'orders'],
      ['s.patient_id', 't.case_id', 'cases']
    ]),
    ('files', array[['s.instruction_id', 't.order_id', 'orders']]),
    ('order_files', array[
      ['s.instruction_id', 't.order_id', 'orders'],
      ['s.id', 't.file_id', 'files']
    ]),
    ('case_files', array[['s.id', 't.file_id', 'files']]),
    ('tasks', array[
      ['s.instruction_id', 't.order_id', 'orders'],
      ['s.template_id', 't.template_id', 'templates'],
      ['s.actor_id', 't.assigned_to', 'profiles']
    ]),
    ('messages', array[
      ['s.author_id', 't.sender_id', 'profiles'],
      [
        $$case when t.recipient_type = 'patient' then s.target_id end$$,
        $$case when t.recipient_type = 'patient' then t.recipient_id end$$,
        'patients'
      ],
      [
        $$case when t.recipient_type = 'user' then s.target_id end$$,
        $$case when t.recipient_type = 'user' then t.recipient_id end$$,
        'profiles'
      ]
    ]),
    ('message_attachments', array[
      ['s.record_id', 't.message_id', 'messages'],
      ['s.id', 't.file_id', 'files']
    ]),
    ('message_attachments_linked', array[
      ['s.record_id', 't.message_id', 'messages'],
      ['s.file_id', 't.file_id', 'files']
    ]),
    ('offers', array[
      ['s.doctor_id', 't.doctor_id', 'doctors'],
      ['s.product_id', 't.product_id', 'products']
    ]),
    ('discounts', array[['s.offer_id', 't.offer_id', 'offers']]),
    ('payments', array[
      ['s.instruction_id', 't.order_id', 'orders'],
      ['s.doctor_id', 't.doctor_id', 'doctors'],
      ['s.office_id', 't.office_id', 'offices']
    ]),
    ('payment_operations', array[['s.payment_id', 't.payment_id', 'payments']]),
    ('purchases', array[['s.product_id', 't.product_id', 'products']]),
    ('payment_items', array[
      ['s.payment_id', 't.payment_id', 'payments'],
      ['s.product_id', 't.product_id', 'products'],
      ['s.purchase_id', 't.purchase_id', 'purchases']
    ]),
    ('jaws', array[
      [$$(t.metadata -> 'legacy' ->> 'instruction_id')$$, 't.order_id', 'orders'],
      ['s.product_id', 't.product_id', 'products']
    ]),
    ('projects', array[
      ['s.creator_id', 'case when s.creator_id is not null then t.creator_id end', 'profiles'],
      [
        'case when s.creator_id is null then -1 end',
        'case when s.creator_id is null then t.creator_id end',
        'system_profile'
      ]
    ]),
    ('treatment_plans', array[
      ['s.project_id', 't.project_id', 'projects'],
      ['s.instruction_id', 't.order_id', 'orders']
    ]),
    ('brackets', array[['s.project_id', 't.project_id', 'projects']]),
    ('comments_discussion', array[['s.author_id', 't.author_id', 'profiles']]),
    ('treatment_discussions', array[
      ['s.plan_id', 't.treatment_id', 'treatment_plans'],
      ['s.id', 't.comment_id', 'comments_discussion'],
      ['s.author_id', 't.author_id', 'profiles']
    ]),
    ('comments_note', array[['s.author_id', 't.author_id', 'profiles']]),
    ('doctor_notes', array[
      ['s.doctor_id', 't.doctor_id', 'profiles'],
      ['s.author_id', 't.author_id', 'profiles'],
      ['s.id', 't.comment_id', 'comments_note']
    ]),
    ('case_messages', array[['s.author_id', 't.sender_id', 'profiles']]),
    ('team_communications', array[['s.author_id', 't.author_id', 'profiles']]),
    ('customer_feedback_comments', array[['s.author_id', 't.source_id', 'profiles']]),
    ('customer_feedback_records', array[
      ['s.author_id', 't.source_id', 'profiles'],
      [
        'case when t.regarding_patient_id is not null then s.target_id end',
        't.regarding_patient_id',
        'patients'
      ]
    ]),
    ('system_messages', array[
      ['s.recipient_id', 't.recipient_id', 'profiles'],
      ['case when t.order_id is not null then s.item_id end', 't.order_id', 'orders']
    ]),
    ('external_links', array[
      [
        $$case when t.internal_entity_type = 'patients' then s.item_id end$$,
        $$case when t.internal_entity_type = 'patients' then t.internal_entity_id end$$,
        'patients'
      ],
      [
        $$case when t.internal_entity_type = 'orders' then s.item_id end$$,
        $$case when t.internal_entity_type = 'orders' then t.internal_entity_id end$$,
        'orders'
      ],
      [
        $$case when t.internal_entity_type = 'offices' then s.item_id end$$,
        $$case when t.internal_entity_type = 'offices' then t.internal_entity_id end$$,
        'offices'
      ],
      [
        $$case when t.internal_entity_type = 'payments' then s.item_id end$$,
        $$case when t.internal_entity_type = 'payments' then t.internal_entity_id end$$,
        'payments'
      ],
      [
        $$case when t.internal_entity_type = 'products' then s.item_id end$$,
        $$case when t.internal_entity_type = 'products' then t.internal_entity_id end$$,
        'products'
      ],
      [
        $$case when t.internal_entity_type = 'profiles' then s.item_id end$$,
        $$case when t.internal_entity_type = 'profiles' then t.internal_entity_id end$$,
        'profiles'
      ]
    ]),
    ('message_read_receipts', array[['s.user_id', 't.user_id', 'profiles']]),
    ('user_actions', array[['s.user_id', 't.user_id', 'profiles']]),
    ('order_states', array[
      ['s.instruction_id', 't.order_id', 'orders'],
      ['s.actor_id', 't.actor_id', 'profiles']
    ]),
    ('case_states', array[['s.actor_id', 't.changed_by_id', 'profiles']])
) as c (entity, referring)
cross join lateral migration.wrong_references(c.entity, c.referring) as d;
