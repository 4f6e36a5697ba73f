-- What a ROLLBACK does not take back: the connection of dblink to the source (migration.connect_versions)
-- is the session's. Sent after every ROLLBACK of a session that may have one; behind a session pooler the
-- next client would find it. Also where nothing is installed, or nothing is left.

do $leave$
begin
  if pg_catalog.to_regprocedure('extensions.dblink_get_connections()') is not null
    and coalesce('versions' = any (extensions.dblink_get_connections()), false)
  then
    perform extensions.dblink_disconnect('versions');
  end if;
end
$leave$
