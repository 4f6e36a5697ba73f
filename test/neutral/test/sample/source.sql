-- A film rental as people build it over the years: keys of every kind, two schemas, one table with
-- capitals, a partitioned one, views.
--
-- release  17

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
