-- Two tables for source data without a table here, protected like every other table.
--
-- Grants are said explicitly: whether the platform
-- gives them automatically depends on the age of the project.

-- Up Migration

-- the audit trail of the legacy application has no table here (audit_log describes row
-- changes of this database)
create table if not exists public.user_actions (
  id               uuid primary key default gen_random_uuid(),
  user_id          uuid references public.profiles,
  action           varchar(50) not null,
  action_date      timestamptz not null,
  item_type        varchar(100),
  item_id          integer,
  owner_type       varchar(100),
  owner_id         integer,
  action_data      text,
  metadata         jsonb,
  created_at       timestamptz default now(),
  updated_at       timestamptz default now(),
  legacy_user_id   integer,
  legacy_action_id integer unique
);
create index if not exists user_actions_user_id_idx     on public.user_actions (user_id);
create index if not exists user_actions_action_date_idx on public.user_actions (action_date);

-- who has read what: the flag messages.is_read knows neither the reader nor the time
create table if not exists public.message_read_receipts (
  id                uuid primary key default gen_random_uuid(),
  user_id           uuid references public.profiles,
  message_id        uuid references public.messages,
  target_code       integer,
  read_at           timestamptz,
  metadata          jsonb,
  created_at        timestamptz default now(),
  legacy_target_id  integer,
  legacy_reading_id integer unique
);
create index if not exists message_read_receipts_user_id_idx
  on public.message_read_receipts (user_id);
create index if not exists message_read_receipts_message_id_idx
  on public.message_read_receipts (message_id);

alter table public.user_actions          enable row level security;
alter table public.message_read_receipts enable row level security;

drop policy if exists user_actions_read             on public.user_actions;
drop policy if exists user_actions_service          on public.user_actions;
drop policy if exists message_read_receipts_read    on public.message_read_receipts;
drop policy if exists message_read_receipts_service on public.message_read_receipts;

create policy user_actions_read on public.user_actions
  for select to authenticated using (true);
create policy user_actions_service on public.user_actions
  for all to service_role using (true) with check (true);
create policy message_read_receipts_read on public.message_read_receipts
  for select to authenticated using (true);
create policy message_read_receipts_service on public.message_read_receipts
  for all to service_role using (true) with check (true);

grant all on table public.user_actions          to anon, authenticated, service_role;
grant all on table public.message_read_receipts to anon, authenticated, service_role;

-- Down Migration

-- rows that nobody took back stop this, and none may arrive between the count and the drop
lock table public.message_read_receipts, public.user_actions in access exclusive mode;
do $guard$
declare
  receipts bigint := (select count(*) from public.message_read_receipts);
  actions  bigint := (select count(*) from public.user_actions);
begin
  if receipts + actions > 0 then
    raise exception
      'tables to be dropped still hold rows: message_read_receipts %, user_actions %',
      receipts, actions
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Take the migrated rows back first (runner down), then repeat.';
  end if;
end
$guard$;

-- policies, indexes and grants go with the table
drop table public.message_read_receipts;
drop table public.user_actions;
