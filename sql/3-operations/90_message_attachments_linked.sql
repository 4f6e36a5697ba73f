-- Message attachments, linked: one per dispatch_record_attachments, the many-to-many table.
-- Known to be empty; here so that a row, should one appear, is not lost.
--
-- target   public.message_attachments
-- source   dispatch_record_attachments
-- adopt    message_id, file_id
-- deletes  remove
-- filter   already_attached  the file names the same message itself
-- reject   orphan_message    its message is not stored
-- reject   orphan_file       its file is not stored

create view transform.message_attachments_linked as
select
  a.id                   as legacy_key,
  a.id::integer          as legacy_attachment_id,
  a.file_id              as legacy_file_id,
  a.record_id            as legacy_record_id,
  message.id             as message_id,
  file.id                as file_id,
  source_file.created_at as created_at,
  case
    when source_file.record_id is not distinct from a.record_id then 'already_attached'
  end                    as filter,
  case
    when message.id is null then 'orphan_message'
    when file.id is null then 'orphan_file'
  end                    as reject
from legacy.dispatch_record_attachments as a
left join legacy.dispatch_file as source_file on source_file.id    = a.file_id
left join ids.messages         as message     on message.legacy_id = a.record_id
left join ids.files            as file        on file.legacy_id    = a.file_id;
