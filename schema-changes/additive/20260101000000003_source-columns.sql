-- Columns for source data that had no place here. Every one is nullable.

-- Up Migration

-- price list of a doctor: who, for what, for how much
alter table public.offers add column if not exists doctor_id   uuid references public.doctors;
alter table public.offers add column if not exists product_id  uuid references public.products;
alter table public.offers add column if not exists price_both  numeric;
alter table public.offers add column if not exists price_upper numeric;
alter table public.offers add column if not exists price_lower numeric;
create index if not exists offers_doctor_id_idx  on public.offers (doctor_id);
create index if not exists offers_product_id_idx on public.offers (product_id);

-- a discount is a rule of one offer
alter table public.discounts add column if not exists offer_id uuid references public.offers;
-- the source's "total" flag of a discount
alter table public.discounts add column if not exists is_total boolean;
create index if not exists discounts_offer_id_idx on public.discounts (offer_id);

-- who pays
alter table public.payments
  add column if not exists doctor_id uuid references public.doctors;
alter table public.payments
  add column if not exists office_id uuid references public.offices;
-- amount is what was billed; the parts of a bill and what was really paid need their own columns
alter table public.payments add column if not exists paid_amount       numeric;
alter table public.payments add column if not exists subtotal_amount   numeric;
alter table public.payments add column if not exists tax_rate          numeric;
alter table public.payments add column if not exists tax_amount        numeric;
alter table public.payments add column if not exists credit_amount     numeric;
alter table public.payments add column if not exists additional_amount numeric;
alter table public.payments add column if not exists custom_amount     numeric;
-- a bill that was waived is not the same as a bill of zero dollars
alter table public.payments add column if not exists is_free           boolean;
-- agreed instalments
alter table public.payments add column if not exists installments      jsonb;
create index if not exists payments_doctor_id_idx on public.payments (doctor_id);
create index if not exists payments_office_id_idx on public.payments (office_id);

-- lines of a bill: list price, doctor's price, discount and their reasons
alter table public.payment_items add column if not exists description      text;
alter table public.payment_items add column if not exists is_free          boolean;
alter table public.payment_items add column if not exists global_price     numeric;
alter table public.payment_items add column if not exists doctor_price     numeric;
alter table public.payment_items add column if not exists base_price       numeric;
alter table public.payment_items add column if not exists discount_percent integer;
alter table public.payment_items add column if not exists discount_amount  numeric;
alter table public.payment_items add column if not exists discount_price   numeric;
alter table public.payment_items add column if not exists discount_reason  text;

-- consumed quantity and text of a purchased item
alter table public.purchases add column if not exists used_quantity integer;
alter table public.purchases add column if not exists description   text;

-- the raw flag code, since to_status / current_state may have to stay empty
alter table public.order_states add column if not exists status_code integer;
alter table public.case_states  add column if not exists status_code integer;

-- a bracket belongs to a project; a bare legacy number cannot be followed
alter table public.brackets add column if not exists project_id uuid references public.projects;
create index if not exists brackets_project_id_idx on public.brackets (project_id);

-- the addressee of a notification had no column
alter table public.system_messages
  add column if not exists recipient_id uuid references public.profiles;
create index if not exists system_messages_recipient_id_idx
  on public.system_messages (recipient_id);

-- an event has a day (no time of day) and may be done
alter table public.patient_events add column if not exists event_date   date;
alter table public.patient_events add column if not exists is_completed boolean;
alter table public.patient_events add column if not exists completed_at timestamptz;

-- a place for raw codes and unresolved legacy ids in tables that have none
alter table public.roles                    add column if not exists metadata jsonb;
alter table public.role_permissions         add column if not exists metadata jsonb;
alter table public.technician_roles         add column if not exists metadata jsonb;
alter table public.patients_doctors_offices add column if not exists metadata jsonb;
alter table public.courses                  add column if not exists metadata jsonb;
alter table public.categories               add column if not exists metadata jsonb;
alter table public.comments                 add column if not exists metadata jsonb;
alter table public.treatment_discussions    add column if not exists metadata jsonb;
alter table public.team_communications      add column if not exists metadata jsonb;
alter table public.customer_feedback        add column if not exists metadata jsonb;
alter table public.system_messages          add column if not exists metadata jsonb;

-- Down Migration

-- a dropped column takes its values with it: values that nobody took back stop this
do $guard$
declare
  added    record;
  found    bigint;
  findings text[] := '{}';
begin
  for added in
    select *
    from (values
      ('offers',                   array[
        'doctor_id', 'product_id', 'price_both', 'price_upper', 'price_lower'
      ]),
      ('discounts',                array['offer_id', 'is_total']),
      ('payments',                 array[
        'doctor_id', 'office_id', 'paid_amount', 'subtotal_amount', 'tax_rate', 'tax_amount',
        'credit_amount', 'additional_amount', 'custom_amount', 'is_free', 'installments'
      ]),
      ('payment_items',            array[
        'description', 'is_free', 'global_price', 'doctor_price', 'base_price',
        'discount_percent', 'discount_amount', 'discount_price', 'discount_reason'
      ]),
      ('purchases',                array['used_quantity', 'description']),
      ('order_states',             array['status_code']),
      ('case_states',              array['status_code']),
      ('brackets',                 array['project_id']),
      ('system_messages',          array['recipient_id', 'metadata']),
      ('patient_events',           array['event_date', 'is_completed', 'completed_at']),
      ('roles',                    array['metadata']),
      ('role_permissions',         array['metadata']),
      ('technician_roles',         array['metadata']),
      ('patients_doctors_offices', array['metadata']),
      ('courses',                  array['metadata']),
      ('categories',               array['metadata']),
      ('comments',                 array['metadata']),
      ('treatment_discussions',    array['metadata']),
      ('team_communications',      array['metadata']),
      ('customer_feedback',        array['metadata'])
    ) as columns_of (table_name, column_names)
  loop
    -- no row may arrive between the count and the drop
    execute format('lock table public.%I in access exclusive mode', added.table_name);
    execute format(
      'select count(*) from public.%I where num_nonnulls(%s) > 0',
      added.table_name,
      (select string_agg(quote_ident(name), ', ') from unnest(added.column_names) as name)
    ) into found;
    if found > 0 then
      findings := findings || format('%s in %s row(s)', added.table_name, found);
    end if;
  end loop;

  if cardinality(findings) > 0 then
    raise exception 'columns to be dropped still hold values: %', array_to_string(findings, '; ')
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Take the migrated rows back first (runner down), then repeat.';
  end if;
end
$guard$;

drop index if exists public.system_messages_recipient_id_idx;
drop index if exists public.brackets_project_id_idx;
drop index if exists public.payments_office_id_idx;
drop index if exists public.payments_doctor_id_idx;
drop index if exists public.discounts_offer_id_idx;
drop index if exists public.offers_product_id_idx;
drop index if exists public.offers_doctor_id_idx;
alter table public.system_messages          drop column metadata;
alter table public.customer_feedback        drop column metadata;
alter table public.team_communications      drop column metadata;
alter table public.treatment_discussions    drop column metadata;
alter table public.comments                 drop column metadata;
alter table public.categories               drop column metadata;
alter table public.courses                  drop column metadata;
alter table public.patients_doctors_offices drop column metadata;
alter table public.technician_roles         drop column metadata;
alter table public.role_permissions         drop column metadata;
alter table public.roles                    drop column metadata;
alter table public.patient_events           drop column completed_at;
alter table public.patient_events           drop column is_completed;
alter table public.patient_events           drop column event_date;
alter table public.system_messages          drop column recipient_id;
alter table public.brackets                 drop column project_id;
alter table public.case_states              drop column status_code;
alter table public.order_states             drop column status_code;
alter table public.purchases                drop column description;
alter table public.purchases                drop column used_quantity;
alter table public.payment_items            drop column discount_reason;
alter table public.payment_items            drop column discount_price;
alter table public.payment_items            drop column discount_amount;
alter table public.payment_items            drop column discount_percent;
alter table public.payment_items            drop column base_price;
alter table public.payment_items            drop column doctor_price;
alter table public.payment_items            drop column global_price;
alter table public.payment_items            drop column is_free;
alter table public.payment_items            drop column description;
alter table public.payments                 drop column installments;
alter table public.payments                 drop column is_free;
alter table public.payments                 drop column custom_amount;
alter table public.payments                 drop column additional_amount;
alter table public.payments                 drop column credit_amount;
alter table public.payments                 drop column tax_amount;
alter table public.payments                 drop column tax_rate;
alter table public.payments                 drop column subtotal_amount;
alter table public.payments                 drop column paid_amount;
alter table public.payments                 drop column office_id;
alter table public.payments                 drop column doctor_id;
alter table public.discounts                drop column is_total;
alter table public.discounts                drop column offer_id;
alter table public.offers                   drop column price_lower;
alter table public.offers                   drop column price_upper;
alter table public.offers                   drop column price_both;
alter table public.offers                   drop column product_id;
alter table public.offers                   drop column doctor_id;
