-- What a person accepted of the findings of a check, and which rows made an attempt fail.

create table if not exists migration.acknowledged (
  check_name text not null,
  finding    text not null,
  reason     text not null,
  who        text not null default session_user,
  at         timestamptz not null default clock_timestamp()
);
create index if not exists acknowledged_check_idx on migration.acknowledged (check_name);

alter table migration.control add column if not exists refused jsonb;
