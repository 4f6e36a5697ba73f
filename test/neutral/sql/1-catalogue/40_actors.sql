-- Actors: one per actor; they keep the ids they have.
--
-- target  public.actors
-- source  actor
-- key     actor_id
-- id      source
-- adopt   none

create view transform.actors as
select
  migration.key_number(a.actor_id) as legacy_key,
  a.actor_id                       as id,
  a.first_name                     as first_name,
  a.last_name                      as last_name,
  a.born                           as born
from legacy.actor as a;
