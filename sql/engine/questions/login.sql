-- The table that migration.open_link reads; the runner fills it by COPY, so that no statement holds the
-- secret. Also before anything is installed.

-- Room for the rows of a chunk: every pass over what does not fit writes and reads files. After a session's
-- first temporary table it is too late, which behind a pooler may be another client's.
do $room$
begin
  perform pg_catalog.set_config('temp_buffers', '32MB', false);
exception when others then
  null;
end
$room$;
drop table if exists pg_temp.link_login;
create temporary table link_login (user_name text, secret text);
