-- Orders of a doctor.
--
-- index  public.orders (doctor_id)

select * from public.orders as t
where t.doctor_id = '00000000-0000-0000-0000-000000000000';
