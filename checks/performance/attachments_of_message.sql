-- Attachments of a message.
--
-- index  public.message_attachments (message_id)

select * from public.message_attachments as t
where t.message_id = '00000000-0000-0000-0000-000000000000';
