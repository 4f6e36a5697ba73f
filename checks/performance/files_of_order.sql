-- Files of an order.
--
-- index  public.files (order_id)

select * from public.files as t
where t.order_id = '00000000-0000-0000-0000-000000000000';
