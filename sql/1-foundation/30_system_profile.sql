-- System profile: the technical account for work nobody is named for.
-- It stands only where the source says that no person made something (projects without a
-- creator). It never replaces a person who cannot be found.
--
-- target   public.profiles
-- source   none
-- adopt    legacy_user_id

create view transform.system_profile as
select
  s.id                          as legacy_key,
  s.id::integer                 as legacy_user_id,
  'master'::public.profile_type as profile_type,
  'System'::text                as first_name,
  'Administrator'::text         as last_name,
  -- no address is invented
  null::text                    as email,
  jsonb_build_object('legacy', jsonb_build_object(
    'synthetic', true
  ))                            as metadata
from (values (-1::bigint)) as s (id);
