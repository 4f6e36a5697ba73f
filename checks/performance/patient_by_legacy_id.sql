-- A patient by the old id.
--
-- index  public.patients (legacy_patient_id)

select * from public.patients as p
where p.legacy_patient_id = 1;
