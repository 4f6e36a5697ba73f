-- Global settings: one per dispatch_globalsetting, without secrets.
-- setting, application_id, location_id and access_token are never selected. All source columns
-- are assumed and stem from two lists that do not overlap.
--
-- target   public.global_settings
-- source   dispatch_globalsetting
-- adopt    setting_key

create view transform.global_settings as
select
  s.id                                 as legacy_key,
  s.id::integer                        as legacy_setting_id,
  concat('legacy_global_', s.id)       as setting_key,
  'legacy'::text                       as category,
  -- a list of what may be copied; everything else stays behind
  jsonb_build_object(
    'version',             s.version,
    'reset_discount_date', s.reset_discount_date,
    'use_weights',         s.use_weights,
    'crown_weight',        s.crown_weight,
    'inner_root_weight',   s.inner_root_weight,
    'outer_root_weight',   s.outer_root_weight,
    'sandbox',             s.sandbox,
    'features', case
      when btrim(s.features) <> ''
        then coalesce(parsed.features, jsonb_build_object('raw', s.features))
    end,
    'tiers', case
      when btrim(s.tiers) <> '' then coalesce(parsed.tiers, jsonb_build_object('raw', s.tiers))
    end
  )                                    as setting_value,
  coalesce(s.created_at, s.updated_at) as created_at,
  s.updated_at                         as updated_at
from legacy.dispatch_globalsetting as s
cross join lateral (
  select
    migration.try_jsonb(s.features) as features,
    migration.try_jsonb(s.tiers)    as tiers
) as parsed;
