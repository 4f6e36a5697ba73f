-- The number of a film stands on every sticker: it is kept.

-- Up Migration

alter table public.films add column if not exists legacy_film_id integer unique;

-- Down Migration

alter table public.films drop column if exists legacy_film_id;
