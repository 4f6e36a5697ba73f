-- Profiles of a type.
--
-- index  public.profiles (profile_type)

select * from public.profiles as p
where p.profile_type = 'technician'
limit 50;
