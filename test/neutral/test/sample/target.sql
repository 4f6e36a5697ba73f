-- The new film rental: UUID keys, foreign keys, checks, row level security.

create type public.audience as enum ('everyone', 'guidance', 'teenagers', 'adults');
create schema billing;
create type billing.method as enum ('cash', 'card', 'voucher');

create table public.countries (
  id         uuid primary key default gen_random_uuid(),
  code       text not null unique,
  name       text not null check (name <> ''),
  part_of    uuid references public.countries,
  created_at timestamptz not null default now()
);

create table public.languages (
  id                 uuid primary key default gen_random_uuid(),
  legacy_language_id bigint unique,
  name               text not null unique,
  created_at         timestamptz not null default now()
);

create table public.films (
  id                   uuid primary key default gen_random_uuid(),
  title                text not null check (title <> ''),
  description          text,
  released             smallint check (released > 1890),
  language_id          uuid references public.languages,
  original_language_id uuid references public.languages,
  sequel_of            uuid references public.films,
  audience             public.audience,
  rental_rate          numeric(5,2) check (rental_rate >= 0),
  extras               text[],
  rentals              bigint not null default 0,
  last_rented_at       timestamptz,
  updated_at           timestamptz not null default now()
);

create table public.actors (
  id         uuid primary key,
  first_name text not null,
  last_name  text not null,
  born       date
);

create table public.credits (
  id       uuid primary key default gen_random_uuid(),
  film_id  uuid not null references public.films on delete cascade,
  actor_id uuid not null references public.actors on delete cascade,
  part     text,
  position integer,
  unique (film_id, actor_id)
);

create table public.customers (
  id                 uuid primary key default gen_random_uuid(),
  legacy_customer_id integer unique,
  first_name         text not null,
  last_name          text not null,
  email              text unique,
  country_id         uuid references public.countries,
  country_code       text,
  spent              numeric(10,2),
  notes              text,
  created_at         timestamptz not null default now()
);

create table public.contacts (
  id          uuid primary key default gen_random_uuid(),
  customer_id uuid not null references public.customers on delete cascade,
  kind        text not null check (kind in ('home', 'work')),
  phone       text not null,
  unique (customer_id, kind)
);

create table public.rentals (
  id               uuid primary key default gen_random_uuid(),
  legacy_rental_id bigint unique,
  film_id          uuid references public.films,
  customer_id      uuid not null references public.customers,
  rented_at        timestamptz not null,
  returned_at      timestamptz,
  check (returned_at >= rented_at)
);

create table billing.payments (
  id        uuid primary key default gen_random_uuid(),
  rental_id uuid references public.rentals,
  number    bigint not null,
  paid_on   date not null,
  amount    numeric(10,2) not null check (amount >= 0),
  method    billing.method not null,
  unique (number, paid_on)
);

do $$
declare
  made regclass;
begin
  for made in
    select c.oid from pg_class as c
    where c.relnamespace in ('public'::regnamespace, 'billing'::regnamespace) and c.relkind = 'r'
  loop
    execute format('alter table %s enable row level security', made);
    execute format('create policy readers on %s for select to authenticated using (true)', made);
  end loop;
end
$$;

grant usage on schema billing to authenticated, service_role;
grant select on billing.payments to authenticated;
