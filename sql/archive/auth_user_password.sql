-- Password hashes: kept for one check at a person's first sign-in, then to be forgotten.
-- Never in public, where profiles are readable by everybody who signed in. They are read through
-- a foreign table that exists only inside the transaction that copies them.
--
-- target  legacy_archive.auth_user_password
-- source  auth_user
-- secret  password

create table if not exists legacy_archive.auth_user_password (
  id       integer primary key,
  password text
);
