-- Orders of a patient.
--
-- index  public.orders (patient_id)

select * from public.orders as t
where t.patient_id = '00000000-0000-0000-0000-000000000000';
