-- Links of an order to its files.
--
-- index  public.order_files (order_id)

select * from public.order_files as t
where t.order_id = '00000000-0000-0000-0000-000000000000';
