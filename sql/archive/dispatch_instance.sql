-- Instances: compute jobs, not clinical cases.
--
-- target  legacy_archive.dispatch_instance
-- source  dispatch_instance

create table if not exists legacy_archive.dispatch_instance (
  id         integer primary key,
  project_id integer,
  agent_id   integer,
  opener_id  integer,
  port       integer,
  queue      integer,
  run_at     timestamptz,
  type       integer
);
