-- A profile by its address.
--
-- index  public.profiles (email)

select * from public.profiles as p
where p.email = 'somebody@example.com';
