-- Offices of a doctor.
--
-- index  public.doctor_offices (doctor_id)

select * from public.doctor_offices as t
where t.doctor_id = '00000000-0000-0000-0000-000000000000';
