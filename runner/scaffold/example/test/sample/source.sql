create table public.person (
  id   integer primary key,
  name varchar(80) not null,
  mail varchar(120)
);
