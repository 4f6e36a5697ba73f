-- Cases of a patient.
--
-- index  public.cases (patient_id)

select * from public.cases as t
where t.patient_id = '00000000-0000-0000-0000-000000000000';
