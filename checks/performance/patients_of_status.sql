-- Patients of a status.
--
-- index  public.patients (status, enrolled_at desc)

select * from public.patients as p
where p.status = 'on_hold'
order by p.enrolled_at desc
limit 50;
