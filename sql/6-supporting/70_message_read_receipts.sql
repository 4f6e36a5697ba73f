-- Message read receipts: one per dispatch_reading, who has read what.
-- message_id is not supplied until somebody knows which code means dispatch_record; then it is
-- one join to ids.messages. All columns of the source are assumed.
--
-- target   public.message_read_receipts
-- source   dispatch_reading
-- adopt    legacy_reading_id

create view transform.message_read_receipts as
select
  r.id          as legacy_key,
  r.id::integer as legacy_reading_id,
  r.target_id   as legacy_target_id,
  reader.id     as user_id,
  -- the kind of object; the codes are unknown
  r.type        as target_code,
  -- NULL = unread
  r.read_at     as read_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'user_id', r.user_id
  )))           as metadata,
  case when r.user_id is not null and reader.id is null then 'profiles' end as missing
from legacy.dispatch_reading as r
left join ids.profiles as reader on reader.legacy_id = r.user_id;
