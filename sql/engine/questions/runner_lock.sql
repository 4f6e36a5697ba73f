-- Takes the lock of the one runner that may be at work, if it is free; asked before anything is
-- installed. The second number tells the locks apart: 2 and 3 are the link (migration.take_link).
-- `holder`: the session that has it, if it is another one.

select
  pg_catalog.pg_try_advisory_xact_lock(20250401, 1) as held,
  (select a.application_name
   from pg_catalog.pg_locks as l
   join pg_catalog.pg_database as d on d.oid = l.database and d.datname = current_database()
   join pg_catalog.pg_stat_activity as a on a.pid = l.pid
   where l.locktype = 'advisory' and l.classid = 20250401 and l.objid = 1 and l.objsubid = 2
     and l.granted and l.pid <> pg_catalog.pg_backend_pid()
   limit 1)                                          as holder;
