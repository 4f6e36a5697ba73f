-- Agents: two compute servers, no people; nothing in the application corresponds.
--
-- target  legacy_archive.dispatch_agent
-- source  dispatch_agent

create table if not exists legacy_archive.dispatch_agent (
  id           integer primary key,
  name         varchar(255),
  address      varchar(255),
  port         integer,
  cpu          integer,
  memory       integer,
  memory_used  integer,
  capabilities text
);
