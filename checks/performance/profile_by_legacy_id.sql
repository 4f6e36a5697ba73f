-- A profile by the old id.
--
-- index  public.profiles (legacy_user_id)

select * from public.profiles as p
where p.legacy_user_id = 1;
