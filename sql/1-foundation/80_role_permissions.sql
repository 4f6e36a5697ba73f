-- Role permissions: one per dispatch_role_permissions, with the text and code of auth_permission.
--
-- target   public.role_permissions
-- source   dispatch_role_permissions
-- adopt    legacy_id
-- deletes  remove
-- reject   orphan_role        its role is not stored
-- reject   orphan_permission  its permission is not in the source

create view transform.role_permissions as
select
  p.id                as legacy_key,
  p.id::integer       as legacy_id,
  role.id             as role_id,
  permission.name     as permission,
  permission.codename as resource,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'permission_id', p.permission_id,
    'app_label',     kind.app_label,
    'model',         kind.model
  )))                 as metadata,
  case
    when role.id is null then 'orphan_role'
    when permission.id is null then 'orphan_permission'
  end                 as reject
from legacy.dispatch_role_permissions as p
left join ids.roles                  as role       on role.legacy_id = p.role_id
left join legacy.auth_permission     as permission on permission.id  = p.permission_id
left join legacy.django_content_type as kind       on kind.id        = permission.content_type_id;
