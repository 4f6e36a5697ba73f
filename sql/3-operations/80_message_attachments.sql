-- Message attachments: one per dispatch_file; files without a record are filtered.
-- A second entity, message_attachments_linked, fills the same table.
--
-- target   public.message_attachments
-- source   dispatch_file
-- adopt    message_id, file_id
-- deletes  remove
-- commit   batch
-- filter   no_message      the file names no message
-- reject   orphan_message  its message is not stored
-- reject   orphan_file     the file itself is not stored

create view transform.message_attachments as
select
  f.id          as legacy_key,
  f.id::integer as legacy_file_id,
  f.record_id   as legacy_record_id,
  message.id    as message_id,
  file.id       as file_id,
  f.created_at  as created_at,
  case when f.record_id is null then 'no_message' end as filter,
  case
    when message.id is null then 'orphan_message'
    when file.id is null then 'orphan_file'
  end           as reject
from legacy.dispatch_file as f
left join ids.messages as message on message.legacy_id = f.record_id
left join ids.files    as file    on file.legacy_id    = f.id;
