-- Tasks of a status.
--
-- index  public.tasks (status)

select * from public.tasks as t
where t.status = 'in_progress'
limit 50;
