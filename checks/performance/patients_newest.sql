-- Patients with their profile, the newest first.
--
-- index  public.patients (enrolled_at desc)

select * from public.patients as p
join public.profiles as f on f.id = p.profile_id
order by p.enrolled_at desc
limit 50;
