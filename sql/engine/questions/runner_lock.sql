-- Takes the lock of the one runner that may be at work, if it is free; asked before anything is
-- installed. The second number tells the locks apart: 2 and 3 are the link (migration.take_link).

select pg_catalog.pg_try_advisory_xact_lock(20250401, 1) as held;
