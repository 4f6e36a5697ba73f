-- Payments of an order.
--
-- index  public.payments (order_id)

select * from public.payments as t
where t.order_id = '00000000-0000-0000-0000-000000000000';
