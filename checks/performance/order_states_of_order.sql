-- States of an order.
--
-- index  public.order_states (order_id)

select * from public.order_states as t
where t.order_id = '00000000-0000-0000-0000-000000000000';
