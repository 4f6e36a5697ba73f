-- Lines of a payment.
--
-- index  public.payment_items (payment_id)

select * from public.payment_items as t
where t.payment_id = '00000000-0000-0000-0000-000000000000';
