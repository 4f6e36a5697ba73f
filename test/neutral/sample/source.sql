-- A film rental as people build it over the years: keys of every kind, two schemas, one table with
-- capitals, a partitioned one, views. About 2,000 rows, the same ones every time.

create type public.rating as enum ('G', 'PG', 'PG-13', 'R', 'NC-17');
create domain public.email_address as varchar(200) check (value is null or value like '%@%');

create schema billing;
create type billing.payment_method as enum ('cash', 'card', 'voucher');
create domain billing.price as numeric(8,2) check (value >= 0);

-- the code is the key
create table public.country (
  code    varchar(8) primary key,
  name    text not null,
  part_of varchar(8) references public.country
);

-- char(n) is filled up with blanks
create table public.language (
  language_id smallint primary key,
  name        char(20) not null
);

create table public.film (
  film_id              integer primary key,
  title                text not null,
  description          text,
  released             smallint,
  language_id          smallint references public.language,
  original_language_id smallint references public.language,
  sequel_of            integer references public.film,
  rating               public.rating,
  rental_rate          numeric(5,2),
  extras               text[],
  withdrawn            boolean not null default false,
  changed_at           timestamp not null
);

create table public.actor (
  actor_id   uuid primary key,
  first_name text not null,
  last_name  text not null,
  born       date
);

-- two columns are the key; films and actors are not declared
create table public.film_actor (
  film_id  integer,
  actor_id uuid,
  part     text,
  position smallint,
  primary key (film_id, actor_id)
);

create table public."Customer" (
  "CustomerId"   integer primary key,
  "FirstName"    text not null,
  "LastName"     text not null,
  "EMail"        public.email_address,
  "PasswordHash" text,
  "CountryCode"  varchar(8),
  "HomePhone"    text,
  "WorkPhone"    text,
  "IsTest"       boolean not null default false,
  "Notes"        text,
  "CreatedAt"    timestamptz not null
);

-- the key covers a column that is no part of it; nobody looked after the customers
create table public.rental (
  rental_id   integer,
  film_id     integer references public.film,
  customer_id integer,
  rented_at   timestamptz not null,
  returned_at timestamptz,
  primary key (rental_id) include (customer_id)
);

create table billing.payment (
  payment_id bigint,
  paid_on    date,
  rental_id  integer,
  amount     billing.price,
  method     billing.payment_method not null,
  primary key (payment_id, paid_on)
) partition by range (paid_on);

do $$
begin
  for month in 0..11 loop
    execute format('create table billing.payment_%s partition of billing.payment'
      ' for values from (%L) to (%L)',
      to_char(date '2023-01-01' + make_interval(months => month), 'YYYY_MM'),
      date '2023-01-01' + make_interval(months => month),
      date '2023-01-01' + make_interval(months => month + 1));
  end loop;
end
$$;

-- goes to the archive as it is
create table billing.price_list (
  price_code text primary key,
  price      billing.price,
  valid_from date not null,
  remark     text
);

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

create view public.film_activity as
select r.film_id, count(*) as rentals, max(r.rented_at) as last_rented_at
from public.rental as r
where r.film_id is not null
group by r.film_id;

create materialized view billing.customer_totals as
select r.customer_id, sum(p.amount) as amount
from billing.payment as p
join public.rental as r on r.rental_id = p.rental_id
group by r.customer_id;

grant usage on schema billing to legacy_reader;
grant select on all tables in schema billing to legacy_reader;
alter default privileges in schema billing grant select on tables to legacy_reader;
