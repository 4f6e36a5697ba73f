-- A profile.
--
-- index  public.profiles (id)

select * from public.profiles as t
where t.id = '00000000-0000-0000-0000-000000000000';
