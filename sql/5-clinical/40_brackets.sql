-- Brackets: one per dispatch_bracket, the bracket library.
-- Material, manufacturer, arch, slot and so on cannot be read out of a name: not supplied.
--
-- target   public.brackets
-- source   dispatch_bracket
-- adopt    legacy_bracket_id
-- reject   empty_name  its name is empty

create view transform.brackets as
select
  b.id                                           as legacy_key,
  b.id::integer                                  as legacy_bracket_id,
  b.project_id                                   as legacy_project_id,
  project.id                                     as project_id,
  btrim(b.name)                                  as name,
  -- a required column; the raw type is in metadata
  coalesce(nullif(btrim(b.type), ''), 'unknown') as bracket_type,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'type',       b.type,
    'project_id', b.project_id
  )))                                            as metadata,
  case when b.project_id is not null and project.id is null then 'projects' end as missing,
  case when btrim(b.name) = '' then 'empty_name' end as reject
from legacy.dispatch_bracket as b
left join ids.projects as project on project.legacy_id = b.project_id;
