-- Tasks of a person.
--
-- index  public.tasks (assigned_to)

select * from public.tasks as t
where t.assigned_to = '00000000-0000-0000-0000-000000000000';
