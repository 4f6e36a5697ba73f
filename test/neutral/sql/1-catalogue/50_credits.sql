-- Credits: who plays in which film, one per film and actor.
--
-- target   public.credits
-- source   film_actor
-- key      film_id, actor_id
-- adopt    film_id, actor_id
-- deletes  remove
-- filter   withdrawn     its film may not be shown any more
-- reject   orphan_film   its film is not in the source
-- reject   orphan_actor  its actor is not in the source

create view transform.credits as
select
  migration.key_number(row(x.film_id, x.actor_id)) as legacy_key,
  film.id                                          as film_id,
  actor.id                                         as actor_id,
  x.part                                           as part,
  x.position::integer                              as position,
  case when f.withdrawn then 'withdrawn' end       as filter,
  case
    when film.id is null then 'orphan_film'
    when actor.id is null then 'orphan_actor'
  end                                              as reject
from legacy.film_actor as x
left join legacy.film as f on f.film_id = x.film_id
left join ids.films as film on film.legacy_id = x.film_id
left join ids.actors as actor on actor.legacy_id = migration.key_number(x.actor_id);
