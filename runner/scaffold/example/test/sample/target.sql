create table public.people (
  id         uuid primary key default gen_random_uuid(),
  legacy_id  integer unique,
  name       varchar(80) not null,
  email      varchar(120),
  created_at timestamptz not null default now()
);
alter table public.people enable row level security;
