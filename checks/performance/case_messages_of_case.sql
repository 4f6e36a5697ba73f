-- Messages of a case, the newest first.
--
-- index  public.case_messages (case_id, sent_at desc)

select * from public.case_messages as m
where m.case_id = '00000000-0000-0000-0000-000000000000'
order by m.sent_at desc;
