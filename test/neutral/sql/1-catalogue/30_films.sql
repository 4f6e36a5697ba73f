-- Films: one per film; how often it was rented comes from a view of the source.
--
-- target  public.films
-- source  film
-- key     film_id
-- adopt   legacy_film_id
-- filter  withdrawn  it may not be shown any more

create view transform.films as
select
  f.film_id                             as legacy_key,
  f.film_id::integer                    as legacy_film_id,
  f.title                               as title,
  f.description                         as description,
  f.released                            as released,
  language.id                           as language_id,
  original.id                           as original_language_id,
  earlier.id                            as sequel_of,
  case
    when f.rating = 'G' then 'everyone'
    when f.rating = 'PG' then 'guidance'
    when f.rating = 'PG-13' then 'teenagers'
    when f.rating in ('R', 'NC-17') then 'adults'
    else null
  end::public.audience                  as audience,
  f.rental_rate                         as rental_rate,
  f.extras                              as extras,
  coalesce(activity.rentals, 0)         as rentals,
  activity.last_rented_at               as last_rented_at,
  timezone('UTC', f.changed_at)         as updated_at,
  case when f.withdrawn then 'withdrawn' end as filter,
  nullif(concat_ws(',',
    case when f.language_id is not null and language.id is null then 'languages' end,
    case when f.original_language_id is not null and original.id is null then 'languages' end,
    case when f.sequel_of is not null and earlier.id is null then 'films' end
  ), '')                                as missing
from legacy.film as f
left join legacy.film_activity as activity on activity.film_id = f.film_id
left join ids.languages as language on language.legacy_id = f.language_id
left join ids.languages as original on original.legacy_id = f.original_language_id
left join ids.films as earlier on earlier.legacy_id = f.sequel_of;
