-- The patient of a profile.
--
-- index  public.patients (profile_id)

select * from public.patients as t
where t.profile_id = '00000000-0000-0000-0000-000000000000';
