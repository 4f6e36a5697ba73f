-- Projects: one per dispatch_project, the 3D design files.
-- order_id is not supplied: the link to orders runs through treatment_plans, and several plans
-- may share a project. is_original, plan_number and plan_notes are there as well.
--
-- target   public.projects
-- source   dispatch_project
-- adopt    legacy_project_id
-- mapping  project
-- commit   batch

create view transform.projects as
select
  p.id                        as legacy_key,
  p.id::integer               as legacy_project_id,
  -- nobody named: the system profile; named but gone: NULL
  coalesce(
    creator.id,
    case when p.creator_id is null then system.id end
  )                           as creator_id,
  -- often empty; stays empty
  btrim(p.name)               as name,
  -- only 3 is certain; the target's scan types name an arch, which the source does not know
  (case p.type
    when 3 then 'treatment_plan'
    else 'other'
  end)::public.project_type   as project_type,
  -- 0 nearly always, 2 rare
  (case p.status
    when 2 then 'completed'
    else 'draft'
  end)::public.project_status as status,
  p.uid                       as file_uid,
  p.size                      as file_size_bytes,
  p.public                    as is_public,
  p.created_at                as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'type',       p.type,
    'status',     p.status,
    'creator_id', p.creator_id
  )))                         as metadata,
  nullif(concat_ws(',',
    case when p.creator_id is not null and creator.id is null then 'profiles' end,
    case when p.creator_id is null and system.id is null then 'system_profile' end
  ), '')                      as missing
from legacy.dispatch_project as p
left join ids.profiles       as creator on creator.legacy_id = p.creator_id
left join ids.system_profile as system  on system.legacy_id  = -1;
