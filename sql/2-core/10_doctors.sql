-- Doctors: every user a doctor reference may point at: a member of group Doctor or of an office,
-- the doctor of a patient, or a user with doctor settings.
-- A user named only by an offer, a bill, a shop order, a note or dispatch_office.doctor_id is
-- none by this rule; such references stay NULL with the raw id in metadata.
--
-- target   public.doctors
-- source   auth_user
-- adopt    legacy_user_id
-- mapping  doctor
-- filter   not_a_doctor  not in group Doctor or in an office, nobody's doctor, without settings
-- reject   orphan_user   its account is not stored

create view transform.doctors as
select
  u.id                            as legacy_key,
  u.id::integer                   as legacy_user_id,
  profile.id                      as profile_id,
  -- the source marks no primary office; the lowest existing id, as in doctor_offices
  office.id                       as primary_office_id,
  -- padded, never cut
  concat(
    'DOC-', lpad(u.id::text, greatest(6, length(u.id::text)), '0')
  )                               as doctor_number,
  (case
    when u.is_active then 'active'
    else 'inactive'
  end)::public.doctor_status_type as status,
  -- says why the user counts as a doctor; the settings have no columns
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'basis', to_jsonb(array_remove(array[
      case when doctor_group.user_id is not null then 'group' end,
      case when membership.user_id is not null then 'office' end,
      case when treated.doctor_id is not null then 'patients' end,
      case when setting.id is not null then 'settings' end
    ], null)),
    'settings', case
      when setting.id is not null
        then jsonb_build_object(
          'id',                   setting.id,
          'clinical_preferences', setting.clinical_preferences,
          'sq_customer_id',       setting.sq_customer_id,
          'promised_payment',     setting.promised_payment,
          'credit',               setting.credit,
          'tier_finish',          setting.tier_finish,
          'tier_type',            setting.tier_type,
          'installment_payments', setting.installment_payments,
          'baa_agreed_at',        setting.baa_agreed_at,
          'eula_agreed_at',       setting.eula_agreed_at,
          'company_account',      setting.company_account,
          'masters',              masters.ids,
          'sales',                sales.ids
        )
    end
  )))                             as metadata,
  case
    when doctor_group.user_id is null
      and membership.user_id is null
      and treated.doctor_id is null
      and setting.id is null
      then 'not_a_doctor'
  end                             as filter,
  case when membership.leads_nowhere then 'offices' end as missing,
  case when profile.id is null then 'orphan_user' end as reject
from legacy.auth_user as u
left join ids.profiles as profile on profile.legacy_id = u.id
left join (
  select g.user_id
  from legacy.auth_user_groups as g
  where g.group_id = 2
  group by g.user_id
) as doctor_group on doctor_group.user_id = u.id
left join (
  select
    m.user_id,
    min(m.office_id) filter (where f.id is not null) as office_id,
    bool_or(f.id is null)                            as leads_nowhere
  from legacy.dispatch_office_doctors as m
  left join ids.offices as f on f.legacy_id = m.office_id
  group by m.user_id
) as membership on membership.user_id = u.id
left join ids.offices as office on office.legacy_id = membership.office_id
left join (
  select p.doctor_id
  from legacy.dispatch_patient as p
  where p.doctor_id is not null
  group by p.doctor_id
) as treated on treated.doctor_id = u.id
left join (
  select distinct on (s.user_id)
    s.user_id,
    s.id,
    s.clinical_preferences,
    s.sq_customer_id,
    s.promised_payment,
    s.credit,
    s.tier_finish,
    s.tier_type,
    s.installment_payments,
    s.baa_agreed_at,
    s.eula_agreed_at,
    s.company_account
  from legacy.dispatch_doctorsetting as s
  order by s.user_id, s.id
) as setting on setting.user_id = u.id
left join (
  select
    a.doctorsetting_id,
    array_agg(a.user_id order by a.user_id) as ids
  from legacy.dispatch_doctorsetting_masters as a
  group by a.doctorsetting_id
) as masters on masters.doctorsetting_id = setting.id
left join (
  select
    a.doctorsetting_id,
    array_agg(a.user_id order by a.user_id) as ids
  from legacy.dispatch_doctorsetting_sales as a
  group by a.doctorsetting_id
) as sales on sales.doctorsetting_id = setting.id;
