-- Messages to a person, the newest first.
--
-- index  public.messages (recipient_id, created_at desc)

select * from public.messages as m
where m.recipient_id = '00000000-0000-0000-0000-000000000000'
order by m.created_at desc
limit 50;
