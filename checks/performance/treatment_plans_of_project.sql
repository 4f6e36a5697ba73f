-- Plans of a project.
--
-- index  public.treatment_plans (project_id)

select * from public.treatment_plans as t
where t.project_id = '00000000-0000-0000-0000-000000000000';
