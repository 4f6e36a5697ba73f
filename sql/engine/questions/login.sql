-- The table that migration.open_link reads; the runner fills it by COPY, so that no statement holds the
-- secret. Also before anything is installed.

drop table if exists pg_temp.link_login;
create temporary table link_login (user_name text, secret text);
