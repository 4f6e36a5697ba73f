-- The server session that answers, and what was set in it: behind a transaction pooler both change.

select
  pg_catalog.current_setting('runner.probe', true) as mark,
  pg_catalog.pg_backend_pid()                      as pid;
