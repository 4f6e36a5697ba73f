-- Messages of an order, the newest first.
--
-- index  public.messages (recipient_type, recipient_id)

select * from public.messages as m
where m.recipient_type = 'order' and m.recipient_id = '00000000-0000-0000-0000-000000000000'
order by m.created_at desc;
