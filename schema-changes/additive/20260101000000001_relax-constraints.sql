-- Relaxations: a NOT NULL, or a UNIQUE that contradicts the data, is lifted. Nothing else changes.

-- Up Migration

-- a few orders belong to patients without a doctor; an invented doctor would be a lie
alter table public.orders           alter column doctor_id         drop not null;
-- the same for the case of such a patient
alter table public.cases            alter column primary_doctor_id drop not null;
-- bills of shop orders and of removed orders have no order here, yet they are money
alter table public.payments         alter column order_id          drop not null;
-- an offer is a price agreed with a doctor, it belongs to no order
alter table public.offers           alter column order_id          drop not null;
-- an offer has up to three prices; choosing one as "the amount" would be arbitrary
alter table public.offers           alter column offer_amount      drop not null;
-- a purchase is a line of a shop order, which is not one of the orders stored here
alter table public.purchases        alter column order_id          drop not null;
-- the source allows a purchase without a price; 0 would be a different statement
alter table public.purchases        alter column unit_price        drop not null;
alter table public.purchases        alter column total_amount      drop not null;
-- a creator id may point at an account that is gone
alter table public.projects         alter column creator_id        drop not null;
-- a role may be held by nobody; one holder for all roles would be an invention
alter table public.technician_roles alter column technician_id     drop not null;
-- the kind of work follows from the abbreviation for some roles only
alter table public.technician_roles alter column role_type         drop not null;
-- the source records flags (codes 11 and 12) whose place among the order statuses is unknown
alter table public.order_states     alter column to_status         drop not null;
-- the same flags, seen from the case
alter table public.case_states      alter column current_state     drop not null;
-- several products share one course, so the real course id cannot be unique
alter table public.products         drop constraint if exists products_legacy_course_id_key;
create index if not exists products_legacy_course_id_idx on public.products (legacy_course_id);

-- Down Migration

-- all columns that stand in the way are named at once, not one per attempt
do $guard$
declare
  wanted   record;
  found    bigint;
  findings text[] := '{}';
begin
  for wanted in
    select *
    from (values
      ('orders',           'doctor_id'),
      ('cases',            'primary_doctor_id'),
      ('payments',         'order_id'),
      ('offers',           'order_id'),
      ('offers',           'offer_amount'),
      ('purchases',        'order_id'),
      ('purchases',        'unit_price'),
      ('purchases',        'total_amount'),
      ('projects',         'creator_id'),
      ('technician_roles', 'technician_id'),
      ('technician_roles', 'role_type'),
      ('order_states',     'to_status'),
      ('case_states',      'current_state')
    ) as relaxed (table_name, column_name)
  loop
    execute format(
      'select count(*) from public.%I where %I is null',
      wanted.table_name,
      wanted.column_name
    ) into found;
    if found > 0 then
      findings := findings
        || format('%s.%s is NULL in %s row(s)', wanted.table_name, wanted.column_name, found);
    end if;
  end loop;

  select count(*) into found
  from (
    select legacy_course_id
    from public.products
    where legacy_course_id is not null
    group by legacy_course_id
    having count(*) > 1
  ) as repeated;
  if found > 0 then
    findings := findings || format('products.legacy_course_id repeats %s value(s)', found);
  end if;

  if cardinality(findings) > 0 then
    raise exception 'cannot restore NOT NULL and UNIQUE: %', array_to_string(findings, '; ')
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Take the migrated rows back first (runner down), then repeat.';
  end if;
end
$guard$;

drop index if exists public.products_legacy_course_id_idx;
alter table public.products
  add constraint products_legacy_course_id_key unique (legacy_course_id);
alter table public.case_states      alter column current_state     set not null;
alter table public.order_states     alter column to_status         set not null;
alter table public.technician_roles alter column role_type         set not null;
alter table public.technician_roles alter column technician_id     set not null;
alter table public.projects         alter column creator_id        set not null;
alter table public.purchases        alter column total_amount      set not null;
alter table public.purchases        alter column unit_price        set not null;
alter table public.purchases        alter column order_id          set not null;
alter table public.offers           alter column offer_amount      set not null;
alter table public.offers           alter column order_id          set not null;
alter table public.payments         alter column order_id          set not null;
alter table public.cases            alter column primary_doctor_id set not null;
alter table public.orders           alter column doctor_id         set not null;
