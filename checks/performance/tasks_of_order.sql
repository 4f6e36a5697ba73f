-- Tasks of an order.
--
-- index  public.tasks (order_id)

select * from public.tasks as t
where t.order_id = '00000000-0000-0000-0000-000000000000';
