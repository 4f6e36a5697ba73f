-- Jaws of an order.
--
-- index  public.jaws (order_id)

select * from public.jaws as t
where t.order_id = '00000000-0000-0000-0000-000000000000';
