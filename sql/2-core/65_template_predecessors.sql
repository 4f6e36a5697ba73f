-- Template predecessors: one per dispatch_template_predecessors, the order of tasks.
-- The direction (from waits for to) follows the framework's naming and is assumed: check one
-- known pair before the first run.
--
-- target   public.template_predecessors
-- source   dispatch_template_predecessors
-- adopt    template_id, predecessor_id
-- deletes  remove
-- reject   orphan_template  one of its two templates is not stored

create view transform.template_predecessors as
select
  m.id           as legacy_key,
  template.id    as template_id,
  predecessor.id as predecessor_id,
  case when template.id is null or predecessor.id is null then 'orphan_template' end as reject
from legacy.dispatch_template_predecessors as m
left join ids.templates as template    on template.legacy_id    = m.from_template_id
left join ids.templates as predecessor on predecessor.legacy_id = m.to_template_id;
