-- Orders of a time, the newest first.
--
-- index  public.orders (created_at desc)

select * from public.orders as o
where o.created_at between now() - interval '30 days' and now()
order by o.created_at desc
limit 50;
