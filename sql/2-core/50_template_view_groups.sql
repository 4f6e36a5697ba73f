-- Template view groups: one per dispatch_template_view_groups, the groups that see a template.
--
-- target   public.template_view_groups
-- source   dispatch_template_view_groups
-- adopt    template_id, group_name
-- deletes  remove
-- reject   orphan_template  its template is not stored
-- reject   orphan_group     its user group is not in the source

create view transform.template_view_groups as
select
  m.id                   as legacy_key,
  template.id            as template_id,
  btrim(user_group.name) as group_name,
  case
    when template.id is null then 'orphan_template'
    when user_group.id is null then 'orphan_group'
  end                    as reject
from legacy.dispatch_template_view_groups as m
left join ids.templates     as template   on template.legacy_id = m.template_id
left join legacy.auth_group as user_group on user_group.id      = m.group_id;
