-- Teams: one per auth_group.
-- Rows already present carry no key of the source, so they are recognised by name.
--
-- target   public.teams
-- source   auth_group
-- adopt    name
-- mapping  team

create view transform.teams as
select
  g.id          as legacy_key,
  g.id::integer as legacy_group_id,
  btrim(g.name) as name,
  -- the source knows no inactive groups
  true          as is_active
from legacy.auth_group as g;
