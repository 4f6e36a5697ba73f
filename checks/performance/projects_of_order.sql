-- Projects of an order.
--
-- index  public.projects (order_id)

select * from public.projects as t
where t.order_id = '00000000-0000-0000-0000-000000000000';
