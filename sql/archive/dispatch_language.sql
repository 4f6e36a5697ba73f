-- Languages: referred to by nothing known.
--
-- target  legacy_archive.dispatch_language
-- source  dispatch_language

create table if not exists legacy_archive.dispatch_language (
  id   integer primary key,
  name varchar(255)
);
