-- States of a case.
--
-- index  public.case_states (case_id)

select * from public.case_states as t
where t.case_id = '00000000-0000-0000-0000-000000000000';
