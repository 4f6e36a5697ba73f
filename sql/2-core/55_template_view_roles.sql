-- Template view roles: one per dispatch_template_view_roles, the roles that see its tasks.
--
-- target   public.template_view_roles
-- source   dispatch_template_view_roles
-- adopt    template_id, role_id
-- deletes  remove
-- reject   orphan_template  its template is not stored
-- reject   orphan_role      its role is not stored

create view transform.template_view_roles as
select
  m.id        as legacy_key,
  template.id as template_id,
  role.id     as role_id,
  case
    when template.id is null then 'orphan_template'
    when role.id is null then 'orphan_role'
  end         as reject
from legacy.dispatch_template_view_roles as m
left join ids.templates as template on template.legacy_id = m.template_id
left join ids.roles     as role     on role.legacy_id     = m.role_id;
