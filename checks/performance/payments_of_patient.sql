-- Payments of a patient.
--
-- index  public.payments (patient_id)

select * from public.payments as t
where t.patient_id = '00000000-0000-0000-0000-000000000000';
