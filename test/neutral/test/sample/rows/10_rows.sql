-- About 2,000 rows, the same ones every time.

insert into public.country
select
  c.code,
  c.name,
  nullif(c.part_of, '')
from (values
  ('AT', 'Austria', 'EU'), ('CH', 'Switzerland', ''), ('DE', 'Germany', 'EU'), ('EU', 'Europe', ''),
  ('FR', 'France', 'EU'), ('GB', 'United Kingdom', ''), ('IE', 'Ireland', 'EU'),
  -- what codes look like where nobody checked them
  ('a', 'Small a', ''), ('A', 'Large a', ''), ('ÅL', 'Åland', 'EU'), ('O''Z', 'Quoted', ''),
  ('x,y', 'With a comma', ''), ('(1)', 'In parentheses', ''), ('\N', 'A backslash', ''),
  ('-1', 'A number', ''), ('日本', 'Japan', '')
) as c (code, name, part_of);

insert into public.language values
  (1, 'English'), (2, 'Français'), (3, '日本語'), (4, 'Deutsch'), (5, 'עברית'), (32767, 'Esperanto');

-- titles and descriptions with everything that a text may hold but the zero byte
insert into public.film
select
  n,
  case n % 60
    when 7 then format(e'Film %s\twith a tab', n)
    when 11 then format('Фильм %s — “élan” 🎬', n)
    when 13 then format('  Film %s with blanks  ', n)
    when 17 then format('O''Film "%s" \n \\x00 NULL', n)
    else format('Film %s', n)
  end,
  case n % 40
    when 3 then null
    when 5 then ''
    when 9 then 'NULL'
    when 15 then repeat(format('A long description of film %s. ', n), 400)
    when 21 then e'combining e\u0301, bell \u0007, no-break\u00a0space, \ufeff mark, \u202e left'
    else format('What happens in film %s.', n)
  end,
  1950 + n % 74,
  case when n % 50 = 0 then null else 1 + n % 5 end,
  case when n % 9 = 0 then 32767 end,
  case when n % 12 = 0 then n - 5 end,
  (array['G', 'PG', 'PG-13', 'R', 'NC-17'])[1 + n % 5]::public.rating,
  case when n % 31 = 0 then null else (n % 7 + 0.99) end,
  case n % 4 when 0 then null when 1 then '{}' else array['trailer', format('extra "%s"', n)] end,
  n % 70 = 0,
  timestamp '2023-01-01' + n * interval '7 hours'
from generate_series(1, 300) as n;

insert into public.actor
select
  md5(format('actor %s', n))::uuid,
  case when n % 25 = 0 then 'Zoë' else format('First %s', n) end,
  format('Last %s', n % 60),
  case when n % 8 <> 0 then date '1930-01-01' + n * 97 end
from generate_series(1, 150) as n;

insert into public.film_actor
select
  1 + (n * 7) % 300,
  md5(format('actor %s', 1 + (n / 3 * 11) % 150))::uuid,
  case when n % 10 <> 0 then format('Part %s', n) end,
  n % 6
from generate_series(0, 599) as n
on conflict do nothing;

-- a film and an actor that nobody knows
insert into public.film_actor values
  (999, md5('actor 1')::uuid, 'in no film', 1),
  (1, md5('actor 999')::uuid, 'by nobody', 2);

insert into public."Customer"
select
  n,
  case when n % 30 = 0 then 'Łukasz' else format('First %s', n) end,
  format('Last %s', n),
  case when n % 11 <> 0 then format('Customer.%s@example.com', n) end,
  md5(format('password %s', n)),
  case n % 13 when 0 then null when 1 then 'nowhere'
    else (array['AT', 'CH', 'DE', 'a', 'A', 'ÅL', 'O''Z', 'x,y', '(1)', '日本'])[1 + n % 10] end,
  case when n % 3 <> 0 then format('+43 1 %s', 10000 + n) end,
  case when n % 4 = 0 then format('+43 2 %s', 10000 + n) end,
  n % 67 = 0,
  case n % 20
    when 1 then e'two\r\nlines'
    when 2 then ''
    when 3 then repeat('ß', 9000)
    when 4 then e'\\u0000 is no zero byte, \u0001 is no letter'
    when 5 then '{"a": [1, "}"]}'
  end,
  timestamptz '2022-01-01 00:00:00+00' + n * interval '31 hours'
from generate_series(1, 200) as n;

insert into public.rental
select
  n * 10,
  case when n % 97 <> 0 then 1 + (n * 13) % 300 end,
  case when n % 125 = 0 then 9000 + n else 1 + (n * 7) % 200 end,
  timestamptz '2023-01-01 08:00:00+00' + n * interval '17 hours',
  case when n % 6 <> 0
    then timestamptz '2023-01-01 08:00:00+00' + n * interval '17 hours' + n % 9 * interval '1 day' end
from generate_series(1, 450) as n;

-- returned before it was rented: the target refuses it
update public.rental set returned_at = rented_at - interval '1 hour' where rental_id = 2220;

insert into billing.payment
select
  5000000000 + n,
  date '2023-01-01' + n % 365,
  case when n % 110 = 0 then 7 else 10 * (1 + n * 3 % 450) end,
  case when n % 40 <> 0 then n % 12 + 0.5 end,
  (array['cash', 'card', 'voucher'])[1 + n % 3]::billing.payment_method
from generate_series(1, 330) as n;

-- a number is used again on another day: only both columns are the key
insert into billing.payment values (5000000001, '2023-12-24', 10, 1.00, 'cash');

insert into billing.price_list
select format('P%s', n), n + 0.99, date '2020-01-01' + n, case when n % 5 = 0 then 'old' end
from generate_series(1, 20) as n;

refresh materialized view billing.customer_totals;
